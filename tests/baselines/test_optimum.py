"""The exact Bayes optimum: published values, hand-computed cases, and the agent that plays it."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import product

import numpy as np
import pytest

from rl2_sb3.baselines import BayesOptimum
from rl2_sb3.baselines.optimum import belief_counts, optimum
from tests.baselines.test_bandits import after, first, play, seen


@pytest.mark.parametrize(
    ("arms", "value"),
    [(2, 6.02179), (3, 6.40964), (4, 6.58164), (5, 6.65999), (10, 6.71395), (50, 6.71395)],
)
def test_value_of_ten_pulls(arms: int, value: float) -> None:
    assert optimum(arms, 10).value == pytest.approx(value, abs=6e-6)


def test_value_by_hand() -> None:
    # Two pulls: 1/2, then 2/3 of the same arm after a success, or 1/2 of a fresh one.
    assert optimum(1, 2).value == pytest.approx(1)
    assert optimum(2, 2).value == pytest.approx(1 / 2 + 1 / 2 * 2 / 3 + 1 / 2 * 1 / 2)
    # Prior Beta(1, 3): 1/4, then 2/5 after a success, or 1/4 of a fresh one.
    assert optimum(2, 2, 1, 3).value == pytest.approx(1 / 4 + 1 / 4 * 2 / 5 + 3 / 4 * 1 / 4)
    assert optimum(2, 2).reward == pytest.approx([1 / 2, 7 / 12])


def plain_value(counts: tuple[tuple[int, int], ...], pulls: int) -> float:
    """The optimum by recursion, with no thought for exchangeable arms."""
    if pulls == 0:
        return 0.0
    values = []
    for i, (s, f) in enumerate(counts):
        mean = (s + 1) / (s + f + 2)
        won, lost = list(counts), list(counts)
        won[i], lost[i] = (s + 1, f), (s, f + 1)
        values.append(
            mean * (1 + plain_value(tuple(won), pulls - 1))
            + (1 - mean) * plain_value(tuple(lost), pulls - 1)
        )
    return max(values)


@pytest.mark.parametrize(("arms", "pulls"), [(2, 5), (3, 4), (6, 3)])
def test_value_is_that_of_plain_recursion(arms: int, pulls: int) -> None:
    assert optimum(arms, pulls).value == pytest.approx(plain_value(((0, 0),) * arms, pulls))


@pytest.mark.parametrize(("arms", "pulls"), [(1, 6), (2, 10), (5, 10), (12, 7)])
def test_curve_adds_up_to_the_value(arms: int, pulls: int) -> None:
    curve = optimum(arms, pulls).reward
    assert curve.shape == (pulls,)
    assert curve.sum() == pytest.approx(optimum(arms, pulls).value, abs=1e-12)


@pytest.mark.parametrize(("arms", "pulls"), [(3, 5), (9, 8)])
def test_curve_is_what_the_agent_does(arms: int, pulls: int) -> None:
    """Follow the agent's probabilities through every belief; 9 arms, 8 pulls have ties to share."""
    agent = BayesOptimum(arms=arms, episodes=pulls)
    beliefs = {((0, 0),) * arms: 1.0}
    for expected in optimum(arms, pulls).reward:
        counts = np.array(list(beliefs), np.int32)
        probabilities = agent.probabilities(counts[:, :, 0], counts[:, :, 1])
        reward, after_pull = 0.0, defaultdict[tuple[tuple[int, int], ...], float](float)
        for (belief, chance), row in zip(beliefs.items(), probabilities, strict=True):
            for i in np.flatnonzero(row):
                (s, f), others = belief[i], belief[:i] + belief[i + 1 :]
                won = chance * row[i] * (s + 1) / (s + f + 2)
                reward += won
                after_pull[tuple(sorted([*others, (s + 1, f)]))] += won
                after_pull[tuple(sorted([*others, (s, f + 1)]))] += chance * row[i] - won
        assert reward == pytest.approx(expected, abs=1e-12)
        beliefs = dict(after_pull)


def test_belief_counts_by_enumeration() -> None:
    """Two pulls of two arms: (2,0) (1,1) (0,2) of one arm; (1,0)(1,0) (1,0)(0,1) (0,1)(0,1)."""
    assert belief_counts(2, 3).tolist() == [1, 2, 6]
    kinds = [(s, f) for s, f in product(range(6), repeat=2) if s + f <= 5]
    multisets = {tuple(sorted(arms)) for arms in product(kinds, repeat=3)}
    pulls = [sum(s + f for s, f in arms) for arms in multisets]
    assert belief_counts(3, 6).tolist() == [pulls.count(t) for t in range(6)]


@pytest.mark.parametrize("arms", [1, 2, 5, 30])
def test_the_agent_earns_the_optimum(arms: int) -> None:
    total = play(BayesOptimum(arms=arms, episodes=10), 10, 20_000)
    error = total.std() / math.sqrt(len(total))
    assert total.mean() == pytest.approx(optimum(arms, 10).value, abs=4 * error)


def test_the_agent_by_hand() -> None:
    agent = BayesOptimum(arms=3, episodes=2)
    assert seen(agent, []) == pytest.approx([1 / 3] * 3)
    assert seen(agent, [(1, 1)]).tolist() == [0, 1, 0]
    assert seen(agent, [(1, 0)]).tolist() == [1 / 2, 0, 1 / 2]
    # The last of three pulls, with a mean of 1/2 on every arm.
    assert seen(BayesOptimum(arms=5, episodes=3), [(1, 1), (1, 0)]) == pytest.approx([1 / 5] * 5)
    # More pulls to come, and the fresh arms are worth more: there is more to learn about them.
    assert seen(BayesOptimum(arms=5, episodes=9), [(1, 1), (1, 0)])[1] == 0


def test_trials_may_be_out_of_step() -> None:
    agent = BayesOptimum(arms=2, episodes=3)
    _, state = agent.predict(first(2))
    _, state = agent.predict(after([0, 0], [1, 1]), state)
    _, state = agent.predict(after([0, 0], [0, 1]), state)
    observation = after([0, 0], [1, 1])
    observation["start"][0] = 1
    with pytest.raises(ValueError, match=r"Pull 4 of a trial of episodes=3"):
        agent.predict(observation, state)
    observation["start"][1] = 1
    probabilities, state = agent.action_probabilities(observation, state)
    assert probabilities.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_too_many_beliefs_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"2\.2e\+55 beliefs.*Gittins"):
        optimum(50, 500)
    with pytest.raises(ValueError, match="must be positive"):
        optimum(2, 0)
