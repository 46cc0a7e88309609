"""Gittins indices of Bernoulli arms, exact and approximate, and the agent that plays them.

An arm's index is the sure reward a pull for which one would as soon retire as go on with the arm.
To find it by calibration, take a sure reward λ and let U be what the arm adds to retiring at once:

    U(a, b) = max(0, D(a, b)),   D(a, b) = μ - λ + γ (μ U(a+1, b) + (1-μ) U(a, b+1)),   μ = a/(a+b)

D falls with λ, and its root is the index. With m pulls left U_m follows from U_{m-1} in the same
way, with γ = 1 and U_0 = 0.

Sources: Gittins, Glazebrook & Weber 2011, chapters 7 and 8; Whittle 1988; Brezzi & Lai 2002.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2_sb3.baselines.bandits import Counts, Floats, IndexAgent, too_many_pulls
from rl2_sb3.files import kept_array

Method = Literal["calibration", "whittle", "brezzi-lai", "finite-horizon"]

VERSION = 1
"""Of the tables on disk: raise it when their numbers change."""

REACH = 5.0
"""Standard deviations beyond which a posterior mean is taken not to move."""

MAX_PULLS = 1000
"""A finite-horizon table of n pulls holds n³/6 numbers: 0.7 GB, and ten minutes."""


def gittins_index(alpha: ArrayLike, beta: ArrayLike, gamma: float) -> Floats:
    """Gittins index of Bernoulli arms with a Beta(alpha, beta) posterior, discounted forever.

    Calibration by dynamic programming; off by 2e-6 on average, 1e-4 at most.

    :param alpha: successes and the prior's, any shape; whole steps apart
    :param beta: failures and the prior's, a shape that goes with it; whole steps apart
    :param gamma: discount in (0, 1); time grows with 1 / (1 - gamma)²
    :return: index in [0, 1], of the common shape
    :raises ValueError: gamma outside (0, 1), parameters not positive or not whole steps apart
    """
    a, b = np.broadcast_arrays(np.asarray(alpha, float), np.asarray(beta, float))
    least = float(a.min()), float(b.min())
    successes, failures = np.rint(a - least[0]).astype(int), np.rint(b - least[1]).astype(int)
    if not (np.allclose(a - least[0], successes) and np.allclose(b - least[1], failures)):
        raise ValueError(
            "The alphas, or the betas, are not whole steps apart: each such set takes a "
            "computation of its own, so ask for them one by one."
        )
    table = gittins_table(int((successes + failures).max()) + 1, gamma, *least)
    return np.asarray(table[successes, failures])


def gittins_table(
    pulls: int, gamma: float, prior_alpha: float = 1.0, prior_beta: float = 1.0
) -> Floats:
    """Gittins index for all counts of fewer than ``pulls`` pulls, discounted forever.

    :param gamma: discount in (0, 1)
    :return: (pulls, pulls), by successes and failures; NaN where these are too many together
    :raises ValueError: gamma outside (0, 1), parameters not positive
    """
    check(gamma, prior_alpha, prior_beta)
    # The mean is taken to stay after the last pull: a small error, and discounted by 100.
    last = pulls + 10 + math.ceil(math.log(0.01) / math.log(gamma))
    table = np.full((pulls, pulls), np.nan)
    for found in calibrate(prior_alpha, prior_beta, gamma, last, pulls, np.float64, 2048, 128):
        table[found.successes, found.pulls - found.successes] = found.root
    return table


def whittle_index(alpha: ArrayLike, beta: ArrayLike, gamma: float) -> Floats:
    """Whittle's closed-form approximation of the Gittins index (1988).

    Takes and returns what :func:`gittins_index` does, steps of any size; the value may leave
    [0, 1]. Over all counts of at most n pulls, with gamma = 1 - 1/n, it is off by 0.03 on average
    and 0.09 at most for n = 10, and by 0.002 and 0.04 for n = 100.
    """
    a, b = np.asarray(alpha, float), np.asarray(beta, float)
    check(gamma, float(a.min()), float(b.min()))
    n, c = a + b, math.log(1 / gamma)
    mean = a / n
    spread = mean * (1 - mean)
    return np.asarray(mean + spread / (n * np.sqrt((2 * c + 1 / n) * spread) + mean - 1 / 2))


def brezzi_lai_index(alpha: ArrayLike, beta: ArrayLike, gamma: float) -> Floats:
    """Brezzi and Lai's closed-form approximation of the Gittins index (2002).

    Takes and returns what :func:`gittins_index` does, steps of any size; the value may leave
    [0, 1]. As above it is off by 0.02 and 0.06 for n = 10, and by 0.01 and 0.14 for n = 100, the
    most on fresh arms, of which it thinks too highly.
    """
    a, b = np.asarray(alpha, float), np.asarray(beta, float)
    check(gamma, float(a.min()), float(b.min()))
    n, c = a + b, math.log(1 / gamma)
    s = 1 / (c * (n + 1))
    large = np.maximum(s, 15)
    root = np.sqrt(s)
    psi = np.select(
        [s <= 0.2, s <= 1, s <= 5, s <= 15],
        [np.sqrt(s / 2), 0.49 - 0.11 / root, 0.63 - 0.26 / root, 0.77 - 0.58 / root],
        np.sqrt(2 * np.log(large) - np.log(np.log(large)) - np.log(16 * np.pi)),
    )
    return np.asarray(a / n + np.sqrt(a * b / (n**2 * (n + 1))) * psi)


def finite_horizon_gittins(
    episodes: int, prior_alpha: float = 1.0, prior_beta: float = 1.0
) -> NDArray[np.float32]:
    """Index of every state of an arm in a trial of ``episodes`` undiscounted pulls.

    The state is the arm's successes and failures and the m pulls that are left, all arms' pulls
    counted. Calibration by dynamic programming; off by 2e-6 on average, 1e-4 at most.

    :return: (episodes (episodes + 1) (episodes + 2) / 6,), in the order of :func:`place`
    :raises ValueError: too many pulls, or parameters not positive
    """
    check(0.5, prior_alpha, prior_beta)
    if not 1 <= episodes <= MAX_PULLS:
        raise ValueError(
            f"episodes={episodes} is not in 1..{MAX_PULLS}, for which the finite-horizon table "
            "fits: use method='calibration', which is as good where pulls are many."
        )
    table = np.full(episodes * (episodes + 1) * (episodes + 2) // 6, np.nan, np.float32)
    for found in calibrate(prior_alpha, prior_beta, 1.0, episodes, episodes, np.float32, 1024, 32):
        failures = found.pulls - found.successes
        table[place(found.successes, failures, found.left, episodes)] = found.root
    return table


def place(
    successes: NDArray[Any], failures: NDArray[Any], left: NDArray[Any], episodes: int
) -> NDArray[np.int64]:
    """Where the finite-horizon table has an arm's state.

    By the arm's pulls, then its successes, then the pulls of other arms.

    :param left: pulls left, 1..episodes - successes - failures
    """
    i = np.arange(episodes)
    begin = np.concatenate([[0], np.cumsum((i + 1) * (episodes - i))])
    pulls = successes + failures
    others = episodes - pulls - left
    return np.asarray(begin[pulls] + successes * (episodes - pulls) + others)


class Found(NamedTuple):
    """Indices of some states with one number of pulls behind them."""

    pulls: int
    successes: NDArray[np.int64]
    left: NDArray[np.int64]  # pulls left; 0 if they never end
    root: Floats


def calibrate(
    prior_alpha: float,
    prior_beta: float,
    gamma: float,
    last: int,
    wanted: int,
    dtype: type[np.floating[Any]],
    cells: int,
    chunk: int,
) -> Iterator[Found]:
    """Find the indices of all states with fewer than ``wanted`` pulls, in no order.

    λ is solved for at ``cells`` + 1 points of [0, 1], denser at its ends where posteriors are
    narrower, ``chunk`` at a time; and D's root is interpolated. One array holds U by successes,
    chain and λ, first for ``last`` pulls and then for one fewer at a time, in place. With γ = 1 a
    chain is a number of pulls, the arm's own and those left, ``last`` at most; with γ < 1 there
    is one chain, without end. Only states are gone through whose mean is so near to λ that
    learning may carry it across: to the others U is max(0, μ - λ) for all the pulls that are left.
    """
    grid = np.sin(np.linspace(0, np.pi / 2, cells + 1)) ** 2
    chains = last if gamma == 1 else 1
    width = chunk + 2  # chunks overlap by a cell, lest rounding lose a root between two of them
    u = np.empty((last + 1, chains, width), dtype)
    scratch = np.empty(u.size, dtype)
    for begin in range(0, cells, chunk):
        points = grid[begin : begin + width]
        u[:] = 0
        low = high = 0  # successes of the states that the array holds
        for pulls in reversed(range(last)):
            # What a sure reward of 1 a pull is worth, by chain.
            worth = np.arange(last - pulls, 0, -1) if gamma == 1 else np.full(1, 1 / (1 - gamma))
            size = prior_alpha + prior_beta + pulls
            # The standard deviation of the mean at the end, at most.
            end = (last - pulls) / (last - pulls + size) if gamma == 1 else 1.0
            reach = REACH * math.sqrt(end / (4 * (size + 1)))
            first = max(0, math.ceil((points[0] - reach) * size - prior_alpha))
            stop = min(pulls, math.floor((points[-1] + reach) * size - prior_alpha)) + 1
            if first >= stop:
                low = high = 0
                continue
            for rows in (slice(first, min(low, stop + 1)), slice(max(high, first), stop + 1)):
                mean = (prior_alpha + np.arange(rows.start, rows.stop)) / (size + 1)
                above = np.maximum(0, mean[:, None, None] - points)
                u[rows, : len(worth), : len(points)] = ((worth - 1) / gamma)[:, None] * above
            low, high = first, stop

            mean = (prior_alpha + np.arange(first, stop)) / size
            now = u[first:stop, : len(worth), : len(points)]
            d = scratch[: now.size].reshape(now.shape)
            np.subtract(u[first + 1 : stop + 1, : len(worth), : len(points)], now, out=d)
            d *= mean.astype(dtype)[:, None, None]
            d += now
            if gamma != 1:
                d *= dtype(gamma)
            d += (mean[:, None] - points).astype(dtype)[:, None, :]
            np.maximum(d, 0, out=now)
            if pulls < wanted:
                row, chain = np.nonzero((d[:, :, 0] > 0) & (d[:, :, -1] <= 0))
                left = last - chain - pulls if gamma == 1 else np.zeros_like(chain)
                yield Found(pulls, first + row, left, crossing(points, d[row, chain]))


def crossing(points: Floats, curves: NDArray[Any]) -> Floats:
    """Where falling curves (H, L), given at rising points (L,), cross zero: (H,)."""
    rows = np.arange(len(curves))
    cell = (curves > 0).sum(axis=1) - 1
    above, below = curves[rows, cell], curves[rows, cell + 1]
    return np.asarray(points[cell] + (points[cell + 1] - points[cell]) * above / (above - below))


def check(gamma: float, prior_alpha: float, prior_beta: float) -> None:
    """Refuse parameters that make no arm."""
    if not 0 < gamma < 1:
        raise ValueError(f"gamma={gamma} is not in (0, 1): use 1 - 1/n for n pulls.")
    if not min(prior_alpha, prior_beta) > 0:
        raise ValueError(f"alpha={prior_alpha}, beta={prior_beta}: both must be positive.")


@dataclass(frozen=True, kw_only=True)
class Gittins(IndexAgent):
    """Pulls the arm with the highest Gittins index; the tables are kept on disk."""

    episodes: int
    """Pulls of a trial."""
    method: Method = "calibration"
    """Exact, an approximation of it, or exact for the pulls that are left and undiscounted."""
    gamma: float | None = None
    """Discount of the first three; None is 1 - 1/episodes, as good as any."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.episodes < 1:
            raise ValueError(f"episodes={self.episodes}: a trial has at least one pull.")
        if self.method not in get_args(Method):
            raise ValueError(f"method={self.method!r} is none of {', '.join(get_args(Method))}.")
        check(self.discount, self.prior_alpha, self.prior_beta)

    @property
    def discount(self) -> float:
        """The discount in use."""
        return 1 - 1 / max(2, self.episodes) if self.gamma is None else self.gamma

    @cached_property
    def table(self) -> NDArray[Any]:
        """Indices by successes and failures, or in the order of :func:`place`."""
        n, prior = self.episodes, (self.prior_alpha, self.prior_beta)
        if self.method == "finite-horizon":
            name = f"gittins-finite-horizon-{n}-{prior[0]}-{prior[1]}-v{VERSION}"
            return kept_array(name, lambda: finite_horizon_gittins(n, *prior))
        if self.method == "calibration":
            # Far-seeing discounts take nearly as long for few pulls, so these share a table.
            size = max(n, round(0.5 / (1 - self.discount)))
            name = f"gittins-calibration-{size}-{self.discount!r}-{prior[0]}-{prior[1]}-v{VERSION}"
            return kept_array(name, lambda: gittins_table(size, self.discount, *prior))
        formula = {"whittle": whittle_index, "brezzi-lai": brezzi_lai_index}[self.method]
        pulls = np.arange(n)
        return formula(pulls[:, None] + prior[0], pulls + prior[1], self.discount)

    def scores(self, successes: Counts, failures: Counts) -> NDArray[Any]:
        left = self.episodes - (successes + failures).sum(axis=1, keepdims=True)
        if left.min(initial=1) < 1:
            raise too_many_pulls(self.episodes - int(left.min()) + 1, self.episodes)
        if self.method == "finite-horizon":
            return np.asarray(self.table[place(successes, failures, left, self.episodes)])
        return np.asarray(self.table[successes, failures])
