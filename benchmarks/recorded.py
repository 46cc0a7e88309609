"""Tasks that hand out an episode which others handed in before: environments that take no time."""

from __future__ import annotations

from copy import copy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space

from rl2_sb3.tasks.base import BatchedTasks, GymTasks, take

EPISODES = 10
"""Played, of which the longest is handed out: one may be over at once by chance."""
STEPS = 64
"""Of an episode, at most."""


def recorded(
    tasks: GymTasks | BatchedTasks[Any, Any], columns: int
) -> GymTasks | BatchedTasks[Any, Any]:
    """An episode of the tasks with random actions, to be handed out again and again.

    :param columns: of arrays, as many as will be played
    """
    return _Arrays(tasks, columns) if isinstance(tasks, BatchedTasks) else _Tasks(tasks)


class _Tasks(GymTasks):
    def __init__(self, tasks: GymTasks):
        self.tasks = tasks

    def sample(self, rng: np.random.Generator) -> Any:
        """A task as the original has them."""
        return self.tasks.sample(rng)

    def make_env(self) -> gym.Env[Any, Any]:
        """An environment that plays the record."""
        return _Env(self.tasks)


def _episode(env: gym.Env[Any, Any], task: Any) -> tuple[Any, list[Any]]:
    """What the environment hands in, in the reset and in each step."""
    first = env.reset(seed=0, options={"task": task})
    steps: list[Any] = []
    while len(steps) < STEPS and not (steps and any(steps[-1][2:4])):
        steps.append(env.step(env.action_space.sample()))
    return first, steps


class _Env(gym.Env[Any, Any]):
    def __init__(self, tasks: GymTasks):
        env = tasks.make_env()
        self.observation_space, self.action_space = env.observation_space, env.action_space
        env.action_space.seed(0)
        rng = np.random.default_rng(0)
        self._first, self._steps = max(
            (_episode(env, tasks.sample(rng)) for _ in range(EPISODES)),
            key=lambda episode: len(episode[1]),
        )
        env.close()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin the record."""
        self._at = 0
        return self._first

    def step(self, action: Any) -> Any:
        """The next step of the record, which is truncated at its end."""
        observation, reward, terminated, truncated, info = self._steps[self._at]
        self._at += 1
        over = truncated or self._at == len(self._steps)
        return copy(observation), reward, terminated, over, dict(info)


class _Arrays(BatchedTasks[Any, Any]):
    def __init__(self, tasks: BatchedTasks[Any, Any], columns: int):
        self.tasks = tasks
        self.observation_space, self.action_space = tasks.observation_space, tasks.action_space
        rng = np.random.default_rng(0)
        params = tasks.sample(columns, rng)
        self._first = tasks.reset(params, rng)
        actions = batch_space(tasks.action_space, columns)
        self._steps = [tasks.step(params, self._first[0], actions.sample(), rng)]
        while len(self._steps) < STEPS and not self._steps[-1][3].any():
            self._steps.append(tasks.step(params, self._steps[-1][0], actions.sample(), rng))
        self._over = np.ones(columns, np.bool_)
        self._at = 0

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        """Tasks as the original has them."""
        return self.tasks.sample(n, rng)

    def reset(self, params: Any, rng: np.random.Generator) -> Any:
        """Begin the record."""
        self._at = 0
        return take(self._first, np.arange(len(params)))

    def step(self, params: Any, state: Any, action: Any, rng: np.random.Generator) -> Any:
        """The next step of the record; all its episodes end together."""
        state, observation, reward, _ = self._steps[self._at]
        self._at += 1
        return state, observation, reward, self._over & (self._at == len(self._steps))
