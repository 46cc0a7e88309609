"""The value of a trial that its simulator's death cut, in a block that begins within trials."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from rl2_sb3 import RL2PPO, TrialWrapper
from tests.envs import FragileEnv, GoalTasks

NEVER = 10**9


class ValueAtLoss(BaseCallback):
    """Runs the value network of one column step by step, to what a lost trial saw last."""

    def __init__(self, column: int):
        super().__init__()
        self.column = column
        self.values: list[float] = []

    def _on_training_start(self) -> None:
        self.memory: Any = self.policy.initial_memory(1)

    @property
    def policy(self) -> Any:
        return self.model.policy

    def value(self, obs: Any) -> float:
        tensors = {key: th.as_tensor(part[None]) for key, part in obs.items()}
        with th.no_grad():
            value, self.memory = self.policy.follow_values({**tensors, "memory": self.memory})
            return float(self.policy.value_in_rewards(value))

    def _on_step(self) -> bool:
        self.value({key: part[self.column] for key, part in self.locals["obs"].items()})
        info = self.locals["infos"][self.column]
        if info["TimeLimit.truncated"]:
            self.values.append(self.value(info["terminal_observation"]))
        return True


@pytest.mark.parametrize("column", [0, 1])
def test_a_lost_trial_is_valued_by_its_own_memory(column: int) -> None:
    """It goes on in the second block, where the columns' memories differ, and dies in step 12."""
    dies = [NEVER, NEVER]
    dies[column] = 12

    def make(dies: int) -> TrialWrapper:
        return TrialWrapper(FragileEnv(dies), 10, GoalTasks(), order=[9])

    envs = DummyVecEnv([partial(make, n) for n in dies])
    model = RL2PPO("GRUPolicy", envs, n_steps=8, gamma=0.9, seed=0)
    with th.no_grad():
        model.policy.value_net.weight.mul_(10)  # what memories differ in, values do, too
    note = ValueAtLoss(column)
    _, callback = model._setup_learn(1, note)
    callback.on_training_start({}, {})
    assert model.env is not None
    model.policy.normalise_values(np.array([1.0, 3.0]))  # values are in units of their own
    for _ in range(2):
        model.collect_rollouts(model.env, callback, model.rollout_buffer, 8)
    assert len(note.values) == 1
    expected = np.zeros((8, 2))
    expected[3, column] = 0.9 * note.values[0]
    np.testing.assert_allclose(model.rollout_buffer.rewards, expected, rtol=1e-4)
