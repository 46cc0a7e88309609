"""Numbers that are none: named where they come from, and never learned from nor saved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from rl2_sb3 import RL2PPO, RL2TRPO, BatchedTasks, make_trials
from rl2_sb3.algorithms.finite import Block, not_finite
from rl2_sb3.policies import popart
from rl2_sb3.trials.checks import LOOKED_AT
from tests.algorithms.collecting import Clockwork, Model
from tests.envs import SmallEnv, vector


class LateEnv(SmallEnv):
    """Episodes of ten steps; the observation of step ``at`` is spoiled."""

    def __init__(self, at: int, actions: spaces.Space[Any]) -> None:
        super().__init__(vector(2), actions, length=10)
        self.at, self.taken = at, 0

    def step(self, action: Any) -> Any:
        self.taken += 1
        own, *rest = super().step(action)
        return own * (np.float32("nan") if self.taken == self.at else 1), *rest


class Bill(Clockwork):
    """:class:`Clockwork` with a first reward of its own in the second trial of column 1."""

    def __init__(self, reward: float) -> None:
        super().__init__()
        self.reward, self.taken = reward, 0

    def step(self, *arguments: Any) -> Any:
        self.taken += 1
        state, own, reward, ended = super().step(*arguments)
        if self.taken == 17:
            reward[1] = self.reward
        return state, own, reward, ended


def make_model(trials: Any, kind: type[Model] = RL2PPO, **options: Any) -> Any:
    network = {"hidden_size": 8, **options}
    return kind("GRUPolicy", trials, n_steps=8, seed=0, device="cpu", policy_kwargs=network)


@pytest.mark.parametrize("actions", [spaces.Discrete(2), vector(1)], ids=["discrete", "box"])
@pytest.mark.parametrize(
    ("at", "step", "begun"), [(121, 1, 0), (123, 3, 0), (128, 8, 0), (143, 7, 1)]
)
def test_late_nans_are_named_and_not_learned_from(
    actions: Any, at: int, step: int, begun: int, tmp_path: Path
) -> None:
    assert at > LOOKED_AT  # and rollouts of 8 steps begin after the steps 120 and 136

    def make(column: int) -> LateEnv:
        return LateEnv(at if column == 2 else 0, actions)

    columns = iter(range(4))
    model = make_model(make_trials(lambda: make(next(columns)), 4, episodes=2))
    learned: dict[str, th.Tensor] = {}

    def keep(*_: Any) -> bool:
        learned.update({key: part.clone() for key, part in model.policy.state_dict().items()})
        return True

    message = (
        f"Environment 2, in trial {begun} of the rollout, step {step} of the rollout, hands in "
        "observation nan, not a finite number. Nothing was learned from it, and the last checkpoint"
    )
    with pytest.raises(RuntimeError, match=re.escape(message)):
        model.learn(4 * 200, callback=keep)
    assert model.num_timesteps // 4 >= at - 1
    assert all(th.equal(part, learned[key]) for key, part in model.policy.state_dict().items())
    model.save(tmp_path / "still.zip")


def test_a_users_own_error_stays() -> None:
    class Breaks(SmallEnv):
        def step(self, action: Any) -> Any:
            raise KeyError("mine")

    model = make_model(make_trials(lambda: Breaks(vector(2), spaces.Discrete(2)), 2, episodes=1))
    with pytest.raises(KeyError, match="mine"):
        model.learn(100)


def test_finite_numbers_pass() -> None:
    large = np.full((3, 2, 1), 3e38, np.float32)  # their sum is not finite
    start = np.zeros((3, 2, 1), np.int8)
    Block({"x": large, "start": start}, {"x": large[0]}, large[..., 0]).check()
    wrong = large.copy()
    wrong[2, 1] = -np.inf
    with pytest.raises(
        RuntimeError, match=r"Environment 1, .* step 3 of the rollout, .* reward th"
    ):
        Block({"x": large, "start": start}, {"x": large[0]}, wrong[..., 0]).check()


@pytest.mark.parametrize("kind", [RL2PPO, RL2TRPO])
def test_a_large_reward_leaves_what_can_be_saved_and_resumed(
    kind: type[Model], tmp_path: Path
) -> None:
    model = make_model(make_trials(Bill(1e25), 4, episodes=2), kind)
    model.learn(4 * 8)
    model.save(tmp_path / "good")
    model.learn(4 * 16, reset_num_timesteps=False)
    assert float(model.policy.value_scale) > 1e23
    assert not_finite(model.policy, model.policy.optimizer) is None
    model.save(tmp_path / "good")
    trials: BatchedTasks[Any, Any] = Bill(1.0)
    resumed = kind.load(
        tmp_path / "good", make_trials(trials, 4, episodes=2), force_reset=False, device="cpu"
    )
    resumed.learn(4 * 8, reset_num_timesteps=False)
    assert not_finite(resumed.policy) is None


def test_returns_that_overflow_are_refused() -> None:
    model = make_model(make_trials(Bill(3e38), 4, episodes=2))
    model.env.unwrapped.tasks.step = overflowing(model.env.unwrapped.tasks.step)
    with (
        pytest.raises(ValueError, match="rewards are too large to be added up"),
        np.errstate(all="ignore"),
    ):
        model.learn(4 * 24)
    assert not_finite(model.policy) is None


def overflowing(step: Any) -> Any:
    def twice(*arguments: Any) -> Any:
        state, own, reward, ended = step(*arguments)
        return state, own, np.full_like(reward, 3e38), ended

    return twice


def test_the_statistics_of_large_returns() -> None:
    returns = np.array([1e25, -1e25], np.float32)
    assert popart.follow(popart.Statistics(), returns) == pytest.approx((1e25, 0), rel=1e-6)
    with pytest.raises(ValueError, match="Returns are not finite"):
        popart.follow(popart.Statistics(), np.array([np.inf, 0], np.float32))


@pytest.mark.parametrize("part", ["weight", "buffer", "optimiser"])
def test_what_is_not_finite_replaces_nothing(part: str, tmp_path: Path) -> None:
    model = make_model(make_trials(Clockwork(), 4, episodes=2))
    model.learn(32)
    model.save(tmp_path / "model.zip")
    before = (tmp_path / "model.zip").read_bytes()
    with th.no_grad():
        if part == "weight":
            model.policy.action_net.weight[0, 0] = float("nan")
        elif part == "buffer":
            model.policy.value_scale.fill_(float("inf"))
        else:
            first = next(iter(model.policy.optimizer.state.values()))
            first["exp_avg"].view(-1)[0] = float("inf")
    with pytest.raises(ValueError, match="is not finite, so the model is not saved"):
        model.save(tmp_path / "model.zip")
    assert (tmp_path / "model.zip").read_bytes() == before
    if part == "weight":
        with pytest.raises(ValueError, match=r"action_net\.weight is not finite"):
            model.save_agent(tmp_path / "agent.safetensors")
        assert not (tmp_path / "agent.safetensors").exists()
