"""A plain Gymnasium environment as a task distribution: the seed is the task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from rl2_sb3.tasks.base import GymTasks


class SeedTasks(GymTasks):
    """What trials make of an environment that has no distribution.

    :param make: makes the environment
    """

    def __init__(self, make: Callable[[], gym.Env[Any, Any]]):
        self.make = make

    def sample(self, rng: np.random.Generator) -> int:
        """Draw a seed."""
        return int(rng.integers(2**31))

    def make_env(self) -> gym.Env[Any, Any]:
        """Make the environment, which takes its seed as the task."""
        return _Seeded(self.make())


class _Seeded(gym.Wrapper[Any, Any, Any, Any]):
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        others = dict(options or {})
        return self.env.reset(seed=others.pop("task", seed), options=others or None)
