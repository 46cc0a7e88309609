"""Rollouts without training, and what acting did in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.algorithms.buffers import TrialRolloutBuffer
from rl2_sb3.tasks import BatchedTasks

Model = RL2PPO | RL2TRPO


def collect(model: Model, blocks: int = 1) -> TrialRolloutBuffer:
    """Collect blocks; the model learns nothing from them but the size of returns."""
    _, callback = model._setup_learn(1, reset_num_timesteps=model.num_timesteps == 0)
    callback.on_training_start({}, {})
    for _ in range(blocks):
        assert model.env is not None
        model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    return model.rollout_buffer


def replay_error(model: Model) -> float:
    """Largest difference between log-probabilities replayed as learning does and collected ones."""
    buffer, errors = model.rollout_buffer, []
    # A minibatch has other columns than acting had, in another order.
    for batch in buffer.get(buffer.buffer_size * max(1, buffer.n_envs // 2)):
        actions = batch.actions
        if isinstance(model.action_space, spaces.Discrete):
            actions = actions.long().flatten()
        _, log_prob, _ = model.policy.evaluate_actions(batch.observations, actions)
        with th.no_grad():
            distribution = model.policy.get_distribution(batch.observations)
        for replayed in (log_prob, distribution.log_prob(actions)):
            errors.append(float((replayed.detach() - batch.old_log_prob).abs().max()))
    return max(errors)


class ReplayErrors(BaseCallback):
    """:func:`replay_error` of each rollout of a training, and of values, in units of reward."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[float] = []
        self.inside = False
        """Whether some block began inside a trial."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        assert isinstance(self.model, Model)
        self.errors.append(replay_error(self.model))
        buffer = self.model.rollout_buffer
        self.inside |= bool((buffer.observations["start"][0] == 0).any())


class Clockwork(BatchedTasks[NDArray[np.float64], NDArray[np.int64]]):
    """Episodes of two steps; the second one's reward is 1."""

    def __init__(self) -> None:
        self.observation_space: spaces.Space[Any] = spaces.Discrete(2)
        self.action_space: spaces.Space[Any] = spaces.Discrete(2)
        self.horizon = 2

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return np.zeros(n)

    def reset(
        self, params: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        zeros = np.zeros(len(params), np.int64)
        return zeros, zeros

    def step(
        self,
        params: NDArray[np.float64],
        state: NDArray[np.int64],
        action: NDArray[Any],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating], NDArray[np.bool_]]:
        state = state + 1
        return state, state % 2, (state == 2).astype(np.float32), state == 2
