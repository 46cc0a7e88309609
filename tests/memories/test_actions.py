"""Memories that treat all actions alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from rl2_sb3.algorithms import RL2PPO
from rl2_sb3.algorithms.transfer import take_weights
from rl2_sb3.memories import GRU, ActionGRU, ActionSums
from rl2_sb3.policies import CnnGRUPolicy, GRUPolicy
from rl2_sb3.trials import make_trials, trial_space

ARMS, STEPS, COLUMNS = 4, 6, 3
NETWORK: dict[str, Any] = {
    "memory": "action-gru",
    "value_network": "action-sums",
    "hidden_size": 5,
}
PARTS = {"observation": slice(0, 1), "action": slice(1, 5), "reward": slice(5, 6)}


def make_policy(arms: int = ARMS, **options: Any) -> GRUPolicy:
    th.manual_seed(0)
    actions = spaces.Discrete(arms)
    space = trial_space(spaces.Discrete(1), actions)
    return GRUPolicy(space, actions, lambda _: 1e-3, **{**NETWORK, **options})


def block(actions: th.Tensor) -> dict[str, th.Tensor]:
    """Steps of trials that begin with the block, and one that begins in its midst."""
    generator = th.Generator().manual_seed(0)
    rows = STEPS * COLUMNS
    start = th.zeros(STEPS, COLUMNS)
    start[0], start[3, 1] = 1, 1
    return {
        "observation": th.zeros(rows, dtype=th.long),
        "action": th.where(start == 1, 0, actions).flatten(),
        "reward": th.randint(2, (rows, 1), generator=generator) * (1 - start.view(rows, 1)),
        "done": 1 - start.view(rows, 1),
        "start": start.view(rows, 1),
    }


def test_to_swap_actions_swaps_their_probabilities_and_no_more() -> None:
    """A trial's first step has action 0 in place of none, which nobody took."""
    policy, swapped = make_policy(), th.tensor([2, 3, 1, 0])
    actions = th.randint(ARMS, (STEPS, COLUMNS), generator=th.Generator().manual_seed(1))
    found = []
    for taken in (actions, swapped[actions]):
        obs = {**block(taken), "memory": policy.initial_memory(COLUMNS)}
        values, distribution, _ = policy.evaluate(obs)
        each: Any = distribution.distribution
        found.append((each.logits.detach(), values.detach()))
    (logits, values), (logits_swapped, values_swapped) = found
    th.testing.assert_close(logits_swapped[:, swapped], logits)
    th.testing.assert_close(values_swapped, values)
    assert logits.std(dim=1).max() > 1e-3
    assert values.std() > 1e-3


def test_each_action_has_a_gru_of_its_own_steps() -> None:
    th.manual_seed(0)
    memory = ActionGRU(6, 3, PARTS)
    x = th.randn(STEPS, COLUMNS, 6)
    begun = th.ones(COLUMNS, 1)
    state = th.cat([th.randn(COLUMNS, ARMS * 3), begun], dim=1)
    outputs, last = memory(x, state)
    alone = [
        memory.cell(x[..., [1 + arm, 0, 5]], state[:, 3 * arm : 3 * arm + 3].contiguous())
        for arm in range(ARMS)
    ]
    cells = th.stack([states for states, _ in alone], dim=2)
    expected = th.relu(
        cells @ memory.own.weight.T
        + memory.own.bias
        + (cells.mean(dim=2) @ memory.all.weight.T)[:, :, None]
    )
    th.testing.assert_close(outputs, expected.flatten(2))
    th.testing.assert_close(last, th.cat([*(end for _, end in alone), begun], dim=1))


def test_sums_are_seen_as_a_set() -> None:
    """By hand: how often each action was taken, and what came then, with logarithms."""
    th.manual_seed(0)
    memory = ActionSums(6, 3, PARTS)
    x = th.rand(STEPS, COLUMNS, 6)
    outputs, last = memory(x, th.cat([th.zeros(COLUMNS, 6), th.ones(COLUMNS, 1)], dim=1))
    now, sums = x[-1], x.sum(dim=0)
    common = th.cat([now[:, [0, 5]], sums[:, [0, 5]].log1p()], dim=1)
    units = []
    for arm in range(1, 1 + ARMS):
        own = th.stack([now[:, arm], sums[:, arm].log1p()], dim=1)
        units.append(memory.second(memory.first(th.cat([own, common], dim=1)).relu()).relu())
    found = th.stack(units)
    pooled = th.cat([found.mean(dim=0), found.amax(dim=0), common], dim=1)
    th.testing.assert_close(outputs[-1], memory.all(pooled).relu())
    th.testing.assert_close(last[:, :-1], sums[:, [1, 2, 3, 4, 0, 5]])


def test_to_swap_arms_and_their_means_changes_no_value() -> None:
    """A bandit's privileged observation begins with its arms' means."""
    th.manual_seed(0)
    actions, swapped = spaces.Discrete(ARMS), th.tensor([2, 3, 1, 0])
    space = trial_space(spaces.Discrete(1), actions, privileged=ARMS + 3)
    policy = GRUPolicy(space, actions, lambda _: 1e-3, **NETWORK)
    taken = th.randint(ARMS, (STEPS, COLUMNS), generator=th.Generator().manual_seed(1))
    known = th.rand(STEPS * COLUMNS, ARMS + 3)
    others = known.clone()
    others[:, swapped] = known[:, :ARMS]

    def values(taken: th.Tensor, known: th.Tensor) -> th.Tensor:
        obs = {**block(taken), "privileged": known, "memory": policy.initial_memory(COLUMNS)}
        with th.no_grad():
            return policy.predict_values(obs)

    found = values(taken, known)
    th.testing.assert_close(values(swapped[taken], others), found)
    assert not th.allclose(values(swapped[taken], known), found, rtol=1e-3)


def make_model(arms: int, **network: Any) -> RL2PPO:
    trials = make_trials("bandit", 4, episodes=3, arms=arms)
    return RL2PPO("GRUPolicy", trials, seed=arms, policy_kwargs={**NETWORK, **network})


@pytest.mark.parametrize("arms", [2, 7])
def test_an_agent_goes_on_with_any_number_of_actions(arms: int, tmp_path: Path) -> None:
    """With the same weights, also of the value network where it comes from a run."""
    first, then = make_model(ARMS), make_model(arms)
    first.save(tmp_path / "checkpoint.zip")
    (tmp_path / "config.json").write_text("{}")
    take_weights(then, tmp_path)
    ours, theirs = then.policy.state_dict(), first.policy.state_dict()
    assert all(th.equal(ours[key], theirs[key]) for key in ours)
    then.learn(12)


def test_it_learns_which_arm_pays() -> None:
    """Two arms that pay always or never, in ten pulls: 5 by chance, 7.25 at most."""
    trials = make_trials("bandit", 100, episodes=10, arms=2, alpha=0.01, beta=0.01, seed=0)
    learning = {"learning_rate": 0.01, "n_epochs": 4, "ent_coef": 0.0}
    model = RL2PPO("GRUPolicy", trials, seed=0, policy_kwargs=NETWORK, **learning)
    model.learn(100_000)
    returns = [info["r"] for info in model.ep_info_buffer or ()]
    assert np.mean(returns) > 6.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers_after": [8]}, "'action-gru' has an output for each action"),
        ({"skip": True}, "'action-gru' has an output for each action"),
        ({"layers_before": [8]}, "'action-gru' is told where the parts .* no layers_before"),
        ({"memory": "action-sums"}, "memory='action-sums' cannot tell actions apart"),
        ({"memory": "pair-sums", "state_action": True}, "memory='pair-sums' cannot tell actions"),
    ],
)
def test_what_it_cannot_be_made_with(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_policy(**options)


@pytest.mark.parametrize(
    ("kind", "observation", "action"),
    [
        (GRUPolicy, spaces.Discrete(1), spaces.Box(-1, 1, (2,))),
        (GRUPolicy, spaces.Discrete(1), spaces.MultiDiscrete([2, 2])),
        (CnnGRUPolicy, spaces.Box(0, 255, (3, 13, 15), np.uint8), spaces.Discrete(3)),
    ],
)
def test_actions_that_have_no_cells(kind: Any, observation: Any, action: Any) -> None:
    with pytest.raises(ValueError, match="it needs discrete actions, GRUPolicy's features"):
        kind(trial_space(observation, action), action, lambda _: 1e-3, **NETWORK)


def test_its_cells_are_a_grus() -> None:
    assert isinstance(ActionGRU(6, 3, PARTS, memory_steps=20).cell, GRU)
