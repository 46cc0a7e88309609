"""Multi-armed bandits: one pull is one episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3.tasks.base import BatchedTasks


@dataclass
class BernoulliBandit(BatchedTasks[NDArray[np.float64], None]):
    """Arms that pay 1 with probability p, else 0; p ~ Beta(alpha, beta) for each arm.

    The paper's section 3.1 has the uniform prior, alpha = beta = 1.
    """

    arms: int = 5
    """Number of arms."""
    alpha: float = 1.0
    """First parameter of the Beta distribution that the arms' means are drawn from."""
    beta: float = 1.0
    """Second parameter of that Beta distribution."""

    def __post_init__(self) -> None:
        if self.arms < 1:
            raise ValueError(f"arms={self.arms}: a bandit needs at least one arm.")
        if not all(0 < parameter < np.inf for parameter in (self.alpha, self.beta)):
            raise ValueError(
                f"alpha={self.alpha}, beta={self.beta}: both must be positive, and finite."
            )
        self.observation_space: spaces.Space[Any] = spaces.Discrete(1)
        self.action_space: spaces.Space[Any] = spaces.Discrete(self.arms)
        self.horizon = 1

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the arms' means, ``(n, arms)``."""
        return rng.beta(self.alpha, self.beta, (n, self.arms))

    def reset(
        self, params: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[None, NDArray[np.int64]]:
        """Nothing to see: the observation is always 0."""
        return None, np.zeros(len(params), np.int64)

    def step(
        self,
        params: NDArray[np.float64],
        state: None,
        action: NDArray[Any],
        rng: np.random.Generator,
    ) -> tuple[None, NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
        """Pull an arm of each bandit; the episode ends with the pull."""
        n = len(params)
        reward = (rng.random(n) < params[np.arange(n), action]).astype(np.float32)
        return None, np.zeros(n, np.int64), reward, np.ones(n, np.bool_)

    def optimal_return(self, params: NDArray[np.float64]) -> NDArray[np.float64]:
        """The best arm's mean."""
        return np.asarray(params.max(axis=1))

    def privileged_observation(
        self, params: NDArray[np.float64], state: None
    ) -> NDArray[np.float64]:
        """The arms' means, and the highest of them."""
        return np.column_stack([params, params.max(axis=1)])

    def training_reward(
        self, params: NDArray[np.float64], state: None, action: NDArray[Any]
    ) -> NDArray[np.float64]:
        """What the pull costs against the best arm: its mean, less the highest one.

        The highest one is the bandit's, whatever is pulled, so nothing else is learned from the
        mean alone; but a value network has far smaller numbers to learn.
        """
        regret: NDArray[np.float64] = params[np.arange(len(params)), action] - params.max(axis=1)
        return regret
