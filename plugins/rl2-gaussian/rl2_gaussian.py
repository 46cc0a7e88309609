"""Bandits with Gaussian rewards: a task distribution as a plugin."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3 import BatchedTasks

Array = NDArray[Any]


@dataclass
class GaussianBandit(BatchedTasks[Array, None]):
    """Arms whose means are drawn from N(0, 1); a pull pays the mean plus noise."""

    arms: int = 5
    """Number of arms."""
    noise: float = 1.0
    """Standard deviation of a pull's noise."""

    def __post_init__(self) -> None:
        self.observation_space: spaces.Space[Any] = spaces.Discrete(1)
        self.action_space: spaces.Space[Any] = spaces.Discrete(self.arms)
        self.horizon = 1

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw the arms' means, ``(n, arms)``."""
        return rng.normal(size=(n, self.arms))

    def reset(self, params: Array, rng: np.random.Generator) -> tuple[None, Array]:
        """Nothing to see: the observation is always 0."""
        return None, np.zeros(len(params), np.int64)

    def step(
        self, params: Array, state: None, action: Array, rng: np.random.Generator
    ) -> tuple[None, Array, Array, Array]:
        """Pull an arm of each bandit; the episode ends with the pull."""
        n = len(params)
        reward = params[np.arange(n), action] + self.noise * rng.normal(size=n)
        return None, np.zeros(n, np.int64), reward, np.ones(n, np.bool_)
