"""Thompson sampling and the two rules that go by the name of optimistic Thompson sampling."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rl2_sb3.baselines.bandits import BanditAgent, Counts, Floats, random_choice, shared

GRID = 1024
"""Points in [0, 1] on which posteriors are integrated: probabilities are good to about 1e-4."""

CHUNK = 1 << 16
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
        any_draws = beta_draws if min(self.prior_alpha, self.prior_beta) >= 1 else ratios_of_gammas
        kept = self.rng.random(alpha.shape)
        for rows in chunks(len(alpha), self.arms * self.samples):
            a, b = alpha[rows], beta[rows]
            joint = np.zeros((self.samples, len(a)), np.float32)
            drawn = []
            # The draws of an arm with a flat density do not decide which joint draw is kept.
            least = np.where((a == 1) & (b == 1), 0, np.minimum(a, b))
            one, two = least == 1, least == 2  # most arms of long trials
            other = (least > 0) & ~one & ~two
            kinds = (
                (one, partial(whole_draws, 1)),
                (two, partial(whole_draws, 2)),
                (other, any_draws),
            )
            for which, draw in kinds:
                trial, arm = np.nonzero(which)
                if len(trial) == 0:
                    continue
                draws, log_density = draw(a[trial, arm], b[trial, arm], self.samples, self.rng)
                begins = np.flatnonzero(np.diff(trial, prepend=-1))
                joint[:, trial[begins]] += np.add.reduceat(log_density, begins, axis=1)
                drawn.append((trial, arm, draws))
            best = np.argmax(joint, axis=0)
            for trial, arm, draws in drawn:
                kept[rows][trial, arm] = draws[best[trial], np.arange(len(trial))]
        return np.asarray(np.argmax(kept, axis=1))

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


def whole_draws(
    least: int, alpha: Floats, beta: Floats, samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What :func:`beta_draws` does, where the smaller parameter is a small whole number.

    The product of U^(1/n), U^(1/(n + 1)), ... of m independent uniforms is Beta(n, m).

    :param least: m, the smaller of ``alpha`` and ``beta`` throughout
    """
    n = np.maximum(alpha, beta)
    log_draw = np.zeros((samples, len(n)), np.float32)
    for i in range(least):
        log_draw += np.log(uniforms(log_draw.shape, rng)) * single(1 / (n + i))
    draw = np.exp(log_draw)
    log_density = single(n - 1) * log_draw
    if least > 1:
        with np.errstate(divide="ignore"):  # a draw that rounds to 1 has no density
            log_density += np.float32(least - 1) * np.log(1 - draw)
    return np.where(alpha == n, draw, 1 - draw), log_density


def beta_draws(
    alpha: Floats, beta: Floats, samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draws of Beta(alpha, beta), and their log densities but for a constant of each distribution.

    A ratio of gammas, both by the method of Marsaglia & Tsang (2000): the cube of a normal that is
    rejected now and then. Arrays in single precision are three times as fast as NumPy's gammas.

    :param alpha: (M,), and so ``beta``: 1 at least
    :return: (samples, M) and (samples, M)
    """
    shape = np.stack([alpha, beta])
    d = shape - 1 / 3
    scale = single(d)
    log_radius = np.log(uniforms((samples, len(alpha)), rng))  # Box & Muller's: -r² / 2
    angle = uniforms(log_radius.shape, rng) * np.float32(2 * np.pi)
    root = np.stack([np.cos(angle), np.sin(angle)])  # of the gammas, the cubic one
    root *= np.sqrt(-2 * log_radius) * single(1 / np.sqrt(9 * d))
    root += 1
    with np.errstate(invalid="ignore", divide="ignore"):  # a normal too low is rejected
        log_root = np.log(root)
    cube = root * root * root
    log_ratio = (scale * (1 - cube + 3 * log_root)).sum(axis=0) - log_radius
    uniform = uniforms(log_radius.shape, rng)
    rejected = np.flatnonzero(~(uniform <= 1 + log_ratio))  # few, and most of these are not, since
    again = rejected[~(np.log(uniform.flat[rejected]) <= log_ratio.flat[rejected])]  # 1 + x <= e^x
    column = again % len(alpha)
    for k in range(2):
        fresh = rng.standard_gamma(shape[k, column]) / d[k, column]
        cube[k].flat[again] = fresh
        log_root[k].flat[again] = np.log(fresh) / 3
    cube *= single(d / d.sum(axis=0))
    total = cube.sum(axis=0)
    log_density = (single(3 * (shape - 1)) * log_root).sum(axis=0)
    log_density -= single(alpha + beta - 2)[0] * np.log(total)
    return cube[0] / total, log_density


def single(x: Floats) -> NDArray[np.float32]:
    """In single precision, and with an axis for the samples."""
    return x[..., None, :].astype(np.float32)


def uniforms(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Uniform draws from (0, 1], never 0, of 32 bits each."""
    size = math.prod(shape)
    words = rng.integers(2**64, size=-(-size // 2), dtype=np.uint64)  # cheaper than by halves
    bits = words.view(np.uint32)[:size].reshape(shape)
    return (bits.astype(np.float32) + np.float32(0.5)) * np.float32(2**-32)


def ratios_of_gammas(
    alpha: Floats, beta: Floats, samples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """What :func:`beta_draws` does, for any positive parameters."""
    # Shapes near 0 may give 0, hence a floor.
    won = np.maximum(rng.standard_gamma(alpha, (samples, len(alpha))), 1e-300)
    lost = np.maximum(rng.standard_gamma(beta, (samples, len(beta))), 1e-300)
    total = won + lost
    log_density = (alpha - 1) * np.log(won / total) + (beta - 1) * np.log(lost / total)
    return won / total, log_density


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
