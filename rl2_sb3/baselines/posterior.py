"""What an agent believes of a tabular MDP: normal mean rewards, Dirichlet transitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl2_sb3.tasks.mdps import dirichlet

Floats = NDArray[np.float64]


class Posterior(NamedTuple):
    """Independent beliefs about each state and action of n MDPs."""

    mean: Floats
    """Of the mean reward, ``(n, states, actions)``."""
    precision: Floats
    """Of the mean reward: one over its variance, ``(n, states, actions)``."""
    concentration: Floats
    """Parameters of the Dirichlet distribution of transitions, ``(n, states, actions, states)``."""

    def mean_mdp(self) -> tuple[Floats, Floats]:
        """Mean rewards and transition probabilities, both expected."""
        return self.mean, self.concentration / self.concentration.sum(axis=3, keepdims=True)

    def draw_mdp(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Mean rewards and transition probabilities, both drawn."""
        rewards = self.mean + rng.standard_normal(self.mean.shape) / np.sqrt(self.precision)
        return rewards, dirichlet(self.concentration, self.concentration.shape, rng)


@dataclass(frozen=True)
class Prior:
    """What is believed before anything is seen."""

    mu0: float
    """Mean of a mean reward."""
    tau0: float
    """Precision of a mean reward: one over its variance."""
    alpha0: float
    """Parameter of the symmetric Dirichlet distribution of transitions."""
    noise_precision: float = 1.0
    """Precision of a reward about its mean, which is known."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.mu0):
            raise ValueError(f"mu0={self.mu0}: give a finite number.")
        for name in ("tau0", "alpha0", "noise_precision"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}={getattr(self, name)}: must be positive, and finite.")

    def posterior(
        self, visits: NDArray[Any], rewards: NDArray[Any], transitions: NDArray[Any]
    ) -> Posterior:
        """What is believed after some steps.

        :param visits: how often each action was taken in each state, ``(n, states, actions)``
        :param rewards: sums of the rewards that it got, ``(n, states, actions)``
        :param transitions: how often each state followed it, ``(n, states, actions, states)``
        """
        precision = self.tau0 + self.noise_precision * visits
        mean = (self.mu0 * self.tau0 + self.noise_precision * rewards) / precision
        return Posterior(mean, precision, self.alpha0 + transitions)
