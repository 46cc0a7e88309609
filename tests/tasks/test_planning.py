"""Planning against plain loops, hand-computed values and linear programs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from rl2_sb3.tasks.planning import (
    backward_induction,
    extended_value_iteration,
    optimistic_expectation,
)

Floats = NDArray[np.float64]


def random_mdps(n: int, states: int, actions: int, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(n, states, actions))
    return rewards, rng.dirichlet(np.full(states, 0.5), (n, states, actions))


def moved(row: Floats, value: Floats, width: float) -> Floats:
    """Half the width of probability goes to the best state, from the worst ones first."""
    order = [int(state) for state in np.argsort(value)]
    row = row.copy()
    best = order[-1]
    row[best] = min(1, row[best] + width / 2)
    for worst in order[:-1]:
        row[worst] = max(0, row[worst] - max(0, row.sum() - 1))
    return row


def plain(
    rewards: Floats, transitions: Floats, horizon: int, bonus: Floats, width: Floats
) -> Floats:
    """Both ways of planning, for one MDP, a pair of state and action at a time."""
    states, actions = rewards.shape
    values = np.zeros((horizon + 1, states, actions))
    for h in reversed(range(horizon)):
        following = np.array([max(values[h + 1, s]) for s in range(states)])
        for s in range(states):
            for a in range(actions):
                row = moved(transitions[s, a], following, width[s, a])
                expected = sum(row[z] * following[z] for z in range(states))
                values[h, s, a] = rewards[s, a] + (horizon - 1 - h) * bonus[s, a] + expected
    return values[:horizon]


@pytest.mark.parametrize(
    ("states", "actions", "horizon"), [(10, 5, 10), (3, 2, 4), (1, 4, 3), (4, 1, 1)]
)
def test_backward_induction_is_that_of_plain_loops(states: int, actions: int, horizon: int) -> None:
    rewards, transitions = random_mdps(6, states, actions)
    bonus = np.random.default_rng(1).random(rewards.shape)
    nothing = np.zeros((states, actions))
    alone = backward_induction(rewards, transitions, horizon)
    with_bonus = backward_induction(rewards, transitions, horizon, bonus)
    for i in range(6):
        mdp = rewards[i], transitions[i], horizon
        assert alone[i] == pytest.approx(plain(*mdp, nothing, nothing), abs=1e-12)
        assert with_bonus[i] == pytest.approx(plain(*mdp, bonus[i], nothing), abs=1e-12)


@pytest.mark.parametrize(
    ("states", "actions", "horizon"), [(10, 5, 10), (3, 2, 4), (1, 4, 3), (4, 1, 1)]
)
def test_extended_value_iteration_is_that_of_plain_loops(
    states: int, actions: int, horizon: int
) -> None:
    rewards, transitions = random_mdps(6, states, actions)
    width = 1.5 * np.random.default_rng(1).random(rewards.shape)
    nothing = np.zeros((states, actions))
    values = extended_value_iteration(rewards, transitions, width, horizon)
    for i in range(6):
        expected = plain(rewards[i], transitions[i], horizon, nothing, width[i])
        assert values[i] == pytest.approx(expected, abs=1e-12)


def test_values_by_hand() -> None:
    """State 1 pays 1 and keeps; from state 0, action 1 gets there half the time."""
    rewards = np.array([[[0.0, -0.2], [1.0, 1.0]]])
    transitions = np.array([[[[1, 0], [0.5, 0.5]], [[0, 1], [0, 1]]]])
    values = backward_induction(rewards, transitions, 3)[0]
    # One step left: act for the reward. Two: -0.2 + 0.5 x 1 > 0. Three: -0.2 + 0.5 x (0.3 + 2).
    assert values[:, 0].tolist() == [
        pytest.approx([0.3, 0.95]),
        pytest.approx([0, 0.3]),
        pytest.approx([0, -0.2]),
    ]
    assert values[:, 1].tolist() == [[3, 3], [2, 2], [1, 1]]
    # Half of 0.4 more goes to state 1: from state 0, 0.2 and 0.7 get there.
    near = extended_value_iteration(rewards, transitions, np.full((1, 2, 2), 0.4), 2)[0]
    assert near[0, 0] == pytest.approx([0.2, -0.2 + 0.7])


def test_no_width_is_backward_induction_and_all_of_it_goes_anywhere() -> None:
    rewards, transitions = random_mdps(5, 6, 3)
    known = backward_induction(rewards, transitions, 7)
    nothing = np.zeros(rewards.shape)
    assert extended_value_iteration(rewards, transitions, nothing, 7) == pytest.approx(known)
    anywhere = extended_value_iteration(rewards, transitions, nothing + 2, 7)
    best = rewards.max(axis=(1, 2))
    left = np.arange(6, -1, -1)
    assert anywhere == pytest.approx(
        rewards[:, None] + (left * best[:, None])[:, :, None, None], abs=1e-12
    )


def test_optimism_is_the_optimum_of_a_linear_program() -> None:
    """Maximise p value, where p is a distribution and sum |p - row| <= width, with slacks."""
    states, rng = 5, np.random.default_rng(2)
    _, transitions = random_mdps(20, states, 2, seed=3)
    value, width = rng.normal(size=(20, states)), 2 * rng.random((20, states, 2))
    found = optimistic_expectation(np.moveaxis(transitions, 3, 1), value, width)
    one, nothing = np.eye(states), np.zeros((1, states))
    for i in range(20):
        row = transitions[i, 0, 1]
        best = linprog(
            np.concatenate([-value[i], np.zeros(states)]),
            A_ub=np.block([[one, -one], [-one, -one], [nothing, nothing + 1]]),
            b_ub=np.concatenate([row, -row, [width[i, 0, 1]]]),
            A_eq=np.block([[nothing + 1, nothing]]),
            b_eq=[1],
        )
        assert found[i, 0, 1] == pytest.approx(-best.fun, abs=1e-9)


def test_equal_actions_have_equal_values_to_the_last_bit() -> None:
    rewards, transitions = random_mdps(50, 7, 3)
    rewards, transitions = np.repeat(rewards, 3, axis=2), np.repeat(transitions, 3, axis=2)
    width = np.full(rewards.shape, 0.3)
    for values in (
        backward_induction(rewards, transitions, 9),
        extended_value_iteration(rewards, transitions, width, 9),
    ):
        copies = values.reshape(*values.shape[:3], 3, 3)
        assert (copies == copies[..., :1]).all()
