"""Memories that treat all states and actions of small MDPs alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch as th
from gymnasium import spaces

from rl2_sb3.memories import Memory, PairSums, TransitionGraph
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
NETWORK: dict[str, Any] = {
    "memory": "transition-graph",
    "value_network": "pair-sums",
    "state_action": True,
    "hidden_size": 4,
}


@pytest.mark.parametrize("kind", [PairSums, TransitionGraph])
def test_they_keep_the_contract(kind: type[Memory]) -> None:
    parts = {name: slice(i, j) for name, i, j in (("observation", 0, 1), ("done", 4, 5))}
    parts |= {"state_action": slice(1, 2), "state_action_reward": slice(2, 3)}
    check_memory(kind, parts=parts)


def make_policy(**options: Any) -> GRUPolicy:
    th.manual_seed(0)
    actions = spaces.Discrete(ACTIONS)
    space = trial_space(spaces.Discrete(STATES), actions)
    return GRUPolicy(space, actions, lambda _: 1e-3, **{**NETWORK, **options})


def block(states: th.Tensor, actions: th.Tensor) -> dict[str, th.Tensor]:
    """Steps of trials that begin with the block, and one that begins in its midst."""
    generator = th.Generator().manual_seed(0)
    rows = STEPS * COLUMNS
    start, done = th.zeros(STEPS, COLUMNS), th.zeros(STEPS, COLUMNS)
    start[0], start[4, 1], done[3, 0], done[6] = 1, 1, 1, 1
    return {
        "observation": states.flatten(),
        "action": th.where(start == 1, 0, actions).flatten(),
        "reward": th.randn(rows, 1, generator=generator) * (1 - start.view(rows, 1)),
        "done": done.view(rows, 1),
        "start": start.view(rows, 1),
    }


def found(policy: GRUPolicy, states: th.Tensor, actions: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """Logits and values."""
    obs = {**block(states, actions), "memory": policy.initial_memory(COLUMNS)}
    with th.no_grad():
        values, distribution, _ = policy.evaluate(obs)
    each: Any = distribution.distribution
    return each.logits, values


@pytest.mark.parametrize("memory", ["gru", "transition-graph"])
def test_to_swap_states_or_actions_changes_no_value(memory: str) -> None:
    """And of logits those of the actions alone, where the policy's memory is one of these."""
    policy, generator = make_policy(memory=memory), th.Generator().manual_seed(1)
    states = th.randint(STATES, (STEPS, COLUMNS), generator=generator)
    actions = th.randint(ACTIONS, (STEPS, COLUMNS), generator=generator)
    logits, values = found(policy, states, actions)
    swapped_states, swapped_actions = th.tensor([2, 0, 1]), th.tensor([3, 0, 1, 2])
    logits_states, values_states = found(policy, swapped_states[states], actions)
    logits_actions, values_actions = found(policy, states, swapped_actions[actions])
    th.testing.assert_close(values_states, values)
    th.testing.assert_close(values_actions, values)
    if memory == "transition-graph":
        th.testing.assert_close(logits_states, logits)
        th.testing.assert_close(logits_actions[:, swapped_actions], logits)
        assert logits.std(dim=1).max() > 1e-3
    others = th.randint(STATES, (STEPS, COLUMNS), generator=generator)
    assert not th.allclose(found(policy, others, actions)[1], values, rtol=1e-3)


@pytest.mark.parametrize("rounds", [0, 2])
def test_messages_by_hand(rounds: int) -> None:
    """From the states that a walk has shown, round by round."""
    th.manual_seed(0)
    memory = TransitionGraph(INPUTS, 5, PARTS, rounds=rounds)
    walk, actions, rewards = [0, 1, 0, 0, 2], [0, 3, 1, 2], [0.5, -1.0, 2.0, 3.0]
    done = [0, 1, 0, 0]  # so that the second step leads nowhere: an episode begins in state 0
    x, moved = th.zeros(4, 1, INPUTS), th.zeros(STATES, ACTIONS, STATES)
    pairs = th.zeros(STATES, ACTIONS, 2)
    for step, (s, a, r) in enumerate(zip(walk, actions, rewards, strict=False)):
        x[step, 0, walk[step + 1]] = 1
        x[step, 0, 3 + a], x[step, 0, 7], x[step, 0, 8] = 1, r, done[step]
        x[step, 0, 9 + 4 * s + a], x[step, 0, 21 + 4 * s + a] = 1, r
        pairs[s, a] += th.tensor([1, r])
        if not done[step]:
            moved[s, a, walk[step + 1]] += 1
    outputs, last = memory(x, th.zeros(1, memory.state_size))
    th.testing.assert_close(last[0, INPUTS:-1], moved.flatten())
    common = th.tensor([3.0, 0.0, 4.5, 1.0, 0.2])
    common[2:4] = common[2:4].log1p()
    known, units = {}, {}
    for s in range(STATES):
        for a in range(ACTIONS):
            n, r = pairs[s, a]
            own = th.stack([n.log1p(), r.sign() * r.abs().log1p(), r / (n + 1)])
            known[s, a] = memory.own_2((memory.own(own) + memory.common(common)).relu())
            units[s, a] = known[s, a].relu()
    for _ in range(rounds):
        told = []
        for s in range(STATES):
            each = th.stack([units[s, a] for a in range(ACTIONS)])
            told.append(memory.state(th.cat([each.mean(dim=0), each.amax(dim=0)])))
        for s, a in known:
            weights = (moved[s, a] + 1) / (moved[s, a] + 1).sum()
            news = sum(w * unit for w, unit in zip(weights, told, strict=True))
            units[s, a] = (known[s, a] + memory.message(news)).relu()
    expected = th.cat([units[2, a] for a in range(ACTIONS)])
    th.testing.assert_close(outputs[-1, 0], expected)


def test_weights_go_on_with_other_numbers_of_states_and_actions() -> None:
    few, many = (
        GRUPolicy(
            trial_space(spaces.Discrete(states), spaces.Discrete(actions)),
            spaces.Discrete(actions),
            lambda _: 1e-3,
            **NETWORK,
        )
        for states, actions in ((STATES, ACTIONS), (6, 2))
    )
    many.load_state_dict(few.state_dict())


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
    ages = memory.pairs.ages(x, state[:, -1:], keep).flatten()
    assert ages.tolist() == [3, 4, 0, 1, 0, 1]
    _, last = memory(x, state, keep)
    assert last[0, -1] == 2


@pytest.mark.parametrize(("memory", "name"), [("gru", "pair-sums"), (None, "transition-graph")])
def test_they_need_the_products_of_states_and_actions(memory: str | None, name: str) -> None:
    options = {"memory": memory} if memory else {}
    with pytest.raises(ValueError, match=f"'{name}' is for small MDPs: it needs state_action"):
        make_policy(state_action=False, **options)


def test_there_are_no_fewer_rounds_than_none() -> None:
    with pytest.raises(ValueError, match="rounds=-1: must be 0 or more"):
        TransitionGraph(INPUTS, 4, PARTS, rounds=-1)
