"""Thompson sampling and the two rules that go by the name of optimistic Thompson sampling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl2_sb3.baselines.bandits import BanditAgent, Counts, Floats, random_choice, shared

GRID = 1024
"""Points in [0, 1] on which posteriors are integrated: probabilities are good to about 1e-4."""

CHUNK = 1 << 18
"""Numbers held at once while many trials are gone through; it fits the cache."""


@dataclass(frozen=True, kw_only=True)
class PosteriorAgent(BanditAgent):
    """An agent that draws from the posterior of the arms' means."""

    def posterior(self, successes: Counts, failures: Counts) -> tuple[Floats, Floats]:
        """The parameters of each arm's Beta posterior, of the counts' shape."""
        alpha = successes.astype(np.float64) + self.prior_alpha
        return alpha, failures.astype(np.float64) + self.prior_beta

    def probabilities(self, successes: Counts, failures: Counts) -> Floats:
        probabilities = np.empty(successes.shape)
        alpha, beta = self.posterior(successes, failures)
        for rows in chunks(len(alpha), self.arms * GRID):
            probabilities[rows] = self.winning(alpha[rows], beta[rows])
        return probabilities

    @abstractmethod
    def winning(self, alpha: Floats, beta: Floats) -> Floats:
        """The probability of each arm, (N, arms), for posteriors Beta(alpha, beta), (N, arms)."""


@dataclass(frozen=True, kw_only=True)
class ThompsonSampling(PosteriorAgent):
    """Draws each arm's mean from its posterior and pulls the highest (Thompson 1933)."""

    def choose(self, successes: Counts, failures: Counts) -> NDArray[np.int64]:
        alpha, beta = self.posterior(successes, failures)
        return np.asarray(np.argmax(self.rng.beta(alpha, beta), axis=1))

    def winning(self, alpha: Floats, beta: Floats) -> Floats:
        win = highest(alpha, beta).sum(axis=-1)
        return np.asarray(win / win.sum(axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True)
class OptimisticThompsonMean(PosteriorAgent):
    """Pulls the arm with the highest max(posterior draw, posterior mean).

    The optimistic Bayesian sampling of May, Korda, Lee & Leslie 2012. The paper calls another
    rule by that name: :class:`OptimisticThompsonDensity`.
    """

    def choose(self, successes: Counts, failures: Counts) -> NDArray[np.int64]:
        alpha, beta = self.posterior(successes, failures)
        scores = np.maximum(self.rng.beta(alpha, beta), alpha / (alpha + beta))
        return random_choice(scores == scores.max(axis=1, keepdims=True), self.rng)

    def winning(self, alpha: Floats, beta: Floats) -> Floats:
        mean = alpha / (alpha + beta)
        top = mean.max(axis=1, keepdims=True)
        # A draw above the highest mean may win; where there is none, the highest mean does.
        # The grid's cells are cut where they hold that mean.
        above = np.clip((np.arange(GRID) + 1) - top * GRID, 0, 1)
        win = (highest(alpha, beta) * above[:, None]).sum(axis=-1)
        none = np.maximum(1 - win.sum(axis=1, keepdims=True), 0)
        win += none * shared(mean == top)
        return np.asarray(win / win.sum(axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True)
class OptimisticThompsonDensity(PosteriorAgent):
    """Of some joint posterior draws keeps the one of highest density, and pulls its best arm.

    What the paper's code does as OTS, with the number of draws tuned in 1..20: 20 gives Table 1.
    One draw is Thompson sampling.
    """

    samples: int = 20
    """Number of joint draws of all arms' means."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 1:
            raise ValueError(f"samples={self.samples}: at least one draw is needed.")

    def choose(self, successes: Counts, failures: Counts) -> NDArray[np.int64]:
        alpha, beta = self.posterior(successes, failures)
        actions = np.empty(len(alpha), np.int64)
        for rows in chunks(len(alpha), self.arms * self.samples):
            a, b = alpha[rows], beta[rows]
            # A ratio of gammas is a beta, drawn faster so; shapes near 0 may give 0, hence a floor.
            won = np.maximum(self.rng.standard_gamma(a, (self.samples, *a.shape)), 1e-300)
            lost = np.maximum(self.rng.standard_gamma(b, (self.samples, *b.shape)), 1e-300)
            total = won + lost
            draws = won / total
            # The densities' normalisation is that of the posterior, the same for all draws.
            density = np.einsum("ntk,tk->nt", np.log(draws), a - 1)
            density += np.einsum("ntk,tk->nt", np.log(lost / total), b - 1)
            kept = draws[np.argmax(density, axis=0), np.arange(len(a))]
            actions[rows] = np.argmax(kept, axis=1)
        return actions

    def winning(self, alpha: Floats, beta: Floats) -> Floats:
        """Not known.

        :raises NotImplementedError: always
        """
        raise NotImplementedError(
            "OptimisticThompsonDensity's probabilities have no formula: imitate the actions that "
            "predict() draws, or ThompsonSampling or OptimisticThompsonMean."
        )


def chunks(rows: int, numbers_a_row: int) -> Iterator[slice]:
    """Slices of rows, of about ``CHUNK`` numbers each."""
    step = max(1, CHUNK // numbers_a_row)
    return (slice(at, at + step) for at in range(0, rows, step))


def highest(alpha: Floats, beta: Floats) -> Floats:
    """How probable it is that an arm's mean lies in a cell of [0, 1], and no other above it.

    :param alpha: (N, arms), and so ``beta``: parameters of independent Beta distributions
    :return: (N, arms, GRID)
    """
    x = (np.arange(GRID) + 0.5) / GRID
    arms, place = np.unique(np.stack([alpha.ravel(), beta.ravel()]), axis=1, return_inverse=True)
    log_density = (arms[0, :, None] - 1) * np.log(x) + (arms[1, :, None] - 1) * np.log1p(-x)
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    density /= density.sum(axis=1, keepdims=True)
    # Up to a cell's middle; the floor is for the logarithm.
    log_below = np.log(np.maximum(np.cumsum(density, axis=1) - density / 2, 1e-300))
    place = place.reshape(alpha.shape)
    log_below = log_below[place]
    others = log_below.sum(axis=1, keepdims=True) - log_below
    return np.asarray(density[place] * np.exp(others))
