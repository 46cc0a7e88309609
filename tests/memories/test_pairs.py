"""The value network that sees the states and actions of small MDPs as a set."""

from __future__ import annotations

from typing import Any

import pytest
import torch as th
from gymnasium import spaces

from rl2_sb3.memories import PairSums
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.testing import check_memory
from rl2_sb3.trials import trial_space

STATES, ACTIONS, STEPS, COLUMNS = 3, 4, 9, 2
INPUTS = STATES + ACTIONS + 2 + 2 * STATES * ACTIONS
PARTS = {
    "observation": slice(0, 3),
    "action": slice(3, 7),
    "reward": slice(7, 8),
    "done": slice(8, 9),
    "state_action": slice(9, 21),
    "state_action_reward": slice(21, 33),
}


def test_it_keeps_the_contract() -> None:
    parts = {name: slice(i, j) for name, i, j in (("observation", 0, 1), ("done", 4, 5))}
    parts |= {"state_action": slice(1, 2), "state_action_reward": slice(2, 3)}
    check_memory(PairSums, parts=parts)


def make_policy(**options: Any) -> GRUPolicy:
    th.manual_seed(0)
    actions = spaces.Discrete(ACTIONS)
    space = trial_space(spaces.Discrete(STATES), actions)
    network = {"hidden_size": 4, "value_network": "pair-sums", "state_action": True, **options}
    return GRUPolicy(space, actions, lambda _: 1e-3, **network)


def values(policy: GRUPolicy, states: th.Tensor, actions: th.Tensor) -> th.Tensor:
    """Of trials that begin with the block, and one that begins in its midst."""
    generator = th.Generator().manual_seed(0)
    rows = STEPS * COLUMNS
    start, done = th.zeros(STEPS, COLUMNS), th.zeros(STEPS, COLUMNS)
    start[0], start[4, 1], done[3, 0], done[6] = 1, 1, 1, 1
    obs = {
        "observation": states.flatten(),
        "action": th.where(start == 1, 0, actions).flatten(),
        "reward": th.randn(rows, 1, generator=generator) * (1 - start.view(rows, 1)),
        "done": done.view(rows, 1),
        "start": start.view(rows, 1),
        "memory": policy.initial_memory(COLUMNS),
    }
    with th.no_grad():
        return policy.predict_values(obs)


def test_to_swap_states_or_actions_changes_nothing() -> None:
    policy, generator = make_policy(), th.Generator().manual_seed(1)
    states = th.randint(STATES, (STEPS, COLUMNS), generator=generator)
    actions = th.randint(ACTIONS, (STEPS, COLUMNS), generator=generator)
    found = values(policy, states, actions)
    swapped_states, swapped_actions = th.tensor([2, 0, 1]), th.tensor([3, 0, 1, 2])
    th.testing.assert_close(values(policy, swapped_states[states], actions), found)
    th.testing.assert_close(values(policy, states, swapped_actions[actions]), found)
    others = th.randint(STATES, (STEPS, COLUMNS), generator=generator)
    assert not th.allclose(values(policy, others, actions), found, rtol=1e-3)


def test_a_layer_by_hand() -> None:
    """Counts and rewards of each pair after the block, and what its units come to."""
    th.manual_seed(0)
    memory = PairSums(INPUTS, 5, PARTS)
    x = th.rand(STEPS, COLUMNS, INPUTS)
    x[..., 8] = 0
    outputs, last = memory(x, th.zeros(COLUMNS, INPUTS + 1))
    sums = x.sum(dim=0)
    th.testing.assert_close(last[:, :-1], sums)
    common = th.cat([x[-1, :, 7:9], sums[:, 7:9].log1p(), th.full((COLUMNS, 1), 0.8)], dim=1)
    states = []
    for s in range(STATES):
        present, pairs = x[-1, :, s : s + 1], []
        for a in range(ACTIONS):
            count, reward = sums[:, 9 + 4 * s + a, None], sums[:, 21 + 4 * s + a, None]
            own = th.cat([count.log1p(), reward.log1p(), reward / (count + 1), present], dim=1)
            unit = memory.pair(th.cat([own, common], dim=1)).relu()
            pairs.append(memory.pair_2(unit).relu())
        found = th.stack(pairs)
        pooled = th.cat([found.mean(dim=0), found.amax(dim=0), present], dim=1)
        states.append(memory.state(pooled).relu())
    found = th.stack(states)
    here = (found * x[-1, :, :3].T[..., None]).sum(dim=0)
    pooled = th.cat([found.mean(dim=0), found.amax(dim=0), here, common], dim=1)
    th.testing.assert_close(outputs[-1], memory.all(pooled).relu())


def test_it_counts_the_steps_of_an_episode() -> None:
    memory = PairSums(INPUTS, 5, PARTS)
    x, keep = th.zeros(6, 1, INPUTS), th.ones(6, 1, 1)
    x[2, 0, 8] = 1  # an episode begins
    keep[4] = 0  # a trial
    state = th.zeros(1, INPUTS + 1)
    state[0, -1] = 3
    ages = memory._ages(x, state[:, -1:], keep).flatten()
    assert ages.tolist() == [3, 4, 0, 1, 0, 1]
    _, last = memory(x, state, keep)
    assert last[0, -1] == 2


def test_it_needs_the_products_of_states_and_actions() -> None:
    with pytest.raises(ValueError, match="'pair-sums' is for small MDPs: it needs state_action"):
        make_policy(state_action=False)
