"""The Bayes optimum of a Bernoulli bandit with n undiscounted pulls: what no agent can beat.

Exact dynamic programming over beliefs. Arms with one prior are exchangeable, so a belief is the
multiset of its arms' (successes, failures); and with at most n - 1 pulls behind it, at most n
arms matter, whatever their number. Beliefs are few where pulls are few (10 pulls of 5 arms: 2
thousand; 20 pulls: 240 thousand) and soon too many.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl2_sb3.baselines.bandits import (
    BanditAgent,
    Counts,
    Floats,
    random_choice,
    shared,
    too_many_pulls,
)

MAX_CELLS = 20_000_000
"""Beliefs times arms that we are willing to hold: about 1 GB and half a minute."""

TIE = 1e-10  # values closer than this are equal: they are sums of at most n rounded terms


class Level(NamedTuple):
    """All beliefs after the same number of pulls, and how each arm's outcomes change them.

    ``S`` beliefs, ``w`` arms at most; an arm is coded by its successes and failures, and those of
    a belief are in falling order, so that untouched arms, coded 0, come last.
    """

    keys: NDArray[np.uint64]  # (S,) rising
    arms: NDArray[np.int32]  # (S, w) codes
    success: NDArray[np.int64]  # (S, w) place in the next level after a success of the arm
    failure: NDArray[np.int64]  # (S, w) and after a failure


class Optimum(NamedTuple):
    """The optimal policy from every belief, by its key."""

    value: float
    """The highest expected return of a trial."""
    reward: Floats  # (n,) of each pull; policies that are optimal agree on the sum only
    keys: NDArray[np.uint64]  # (S,) rising, all levels together
    best: NDArray[np.bool_]  # (S, w) the optimal arms, in the belief's order


@dataclass(frozen=True, kw_only=True)
class BayesOptimum(BanditAgent):
    """Plays the Bayes-optimal policy of ``episodes`` undiscounted pulls; ties at random."""

    episodes: int
    """Pulls of a trial."""

    @cached_property
    def policy(self) -> Optimum:
        return optimum(self.arms, self.episodes, self.prior_alpha, self.prior_beta)

    def expected_return(self) -> float:
        return self.policy.value

    def optimal(self, successes: Counts, failures: Counts) -> NDArray[np.bool_]:
        """Which arms are optimal, (N, arms), for counts (N, arms).

        :raises ValueError: a trial with all its pulls behind it
        """
        pulls = int((successes + failures).sum(axis=1).max(initial=0))
        if pulls >= self.episodes:
            raise too_many_pulls(pulls + 1, self.episodes)
        codes = encode(successes, failures, self.episodes)
        keys = code_keys(self.episodes)[codes].sum(axis=1, dtype=np.uint64)
        best = self.policy.best[np.searchsorted(self.policy.keys, keys)]
        order = np.argsort(-codes, axis=1, kind="stable")
        # Arms beyond the belief's width are untouched like its last, so they are as good.
        column = np.minimum(np.arange(self.arms), best.shape[1] - 1)
        optimal = np.empty(codes.shape, np.bool_)
        np.put_along_axis(optimal, order, best[:, column], axis=1)
        return optimal

    def choose(self, successes: Counts, failures: Counts) -> NDArray[np.int64]:
        return random_choice(self.optimal(successes, failures), self.rng)

    def probabilities(self, successes: Counts, failures: Counts) -> Floats:
        return shared(self.optimal(successes, failures))


@lru_cache(maxsize=4)
def optimum(arms: int, episodes: int, prior_alpha: float = 1.0, prior_beta: float = 1.0) -> Optimum:
    """Solve the bandit of ``episodes`` pulls.

    :param arms: number of arms, with means drawn from Beta(prior_alpha, prior_beta)
    :raises ValueError: too many beliefs to go through, or parameters that are not positive
    """
    if min(arms, episodes) < 1 or not min(prior_alpha, prior_beta) > 0:
        raise ValueError(
            f"arms={arms}, episodes={episodes}, prior_alpha={prior_alpha}, "
            f"prior_beta={prior_beta}: all must be positive."
        )
    width = min(arms, episodes)
    sizes = belief_counts(width, episodes)
    if sizes.sum() * width > MAX_CELLS:
        raise ValueError(
            f"arms={arms}, episodes={episodes} has {sizes.sum():.2g} beliefs of {width} arms, "
            f"more than the {MAX_CELLS / width:.2g} that fit: take fewer pulls or arms, or "
            "Gittins(method='finite-horizon'), which is close to optimal for any number of both."
        )
    levels = all_levels(width, episodes)
    # Arms are told apart by random 64-bit keys; a belief that is missing was taken for another.
    assert [len(level.keys) for level in levels] == sizes.tolist()

    means = code_means(episodes, prior_alpha, prior_beta)
    value = np.zeros(1)
    best = []
    for level in reversed(levels):
        mean = means[level.arms]
        q = mean * (1 + value[level.success]) + (1 - mean) * value[level.failure]
        value = q.max(axis=1)
        best.append(q >= value[:, None] - TIE)
    best.reverse()

    reward = np.empty(episodes)
    belief = np.ones(1)
    for t, (level, choice) in enumerate(zip(levels, best, strict=True)):
        weight = choice.astype(np.float64)
        weight[:, -1] *= arms - width + 1  # the untouched arms that the width leaves out
        weight *= (belief / weight.sum(axis=1))[:, None]
        won = weight * means[level.arms]
        reward[t] = won.sum()
        belief = np.zeros(len(levels[t + 1].keys) if t + 1 < episodes else 1)
        np.add.at(belief, level.success, won)
        np.add.at(belief, level.failure, weight - won)

    keys = np.concatenate([level.keys for level in levels])
    order = np.argsort(keys)
    assert np.all(np.diff(keys[order]) > 0)
    return Optimum(float(value[0]), reward, keys[order], np.concatenate(best)[order])


def all_levels(width: int, episodes: int) -> list[Level]:
    """The beliefs after 0, 1, ..., episodes - 1 pulls; after the last pull nothing matters."""
    code_key = code_keys(episodes)
    levels = []
    keys, arms = np.zeros(1, np.uint64), np.zeros((1, width), np.int32)
    for pulls in range(episodes):
        if pulls == episodes - 1:
            nowhere = np.zeros(arms.shape, np.int64)
            levels.append(Level(keys, arms, nowhere, nowhere))
            break
        successes, failures = np.divmod(arms, episodes + 1)
        outcomes = np.stack(
            [encode(successes + 1, failures, episodes), encode(successes, failures + 1, episodes)]
        )
        after = keys[:, None] - code_key[arms] + code_key[outcomes]  # modulo 2**64
        next_keys, first, place = np.unique(after, return_index=True, return_inverse=True)
        success, failure = place.reshape(after.shape)
        levels.append(Level(keys, arms, success, failure))
        outcome, parent, arm = np.unravel_index(first, after.shape)
        arms = arms[parent]
        arms[np.arange(len(arms)), arm] = outcomes[outcome, parent, arm]
        keys, arms = next_keys, -np.sort(-arms, axis=1)
    return levels


def encode(successes: Counts, failures: Counts, episodes: int) -> Counts:
    """Code an arm's counts as one number; 0 is an arm that was never pulled."""
    return np.asarray(successes * np.int32(episodes + 1) + failures)


def code_means(episodes: int, prior_alpha: float, prior_beta: float) -> Floats:
    """Posterior mean of each code."""
    successes, failures = np.divmod(np.arange((episodes + 1) ** 2), episodes + 1)
    alpha = successes + prior_alpha
    return np.asarray(alpha / (alpha + failures + prior_beta))


def code_keys(episodes: int) -> NDArray[np.uint64]:
    """A random key for each code; a belief's key is the sum of its arms', whatever their order."""
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**64, (episodes + 1) ** 2, dtype=np.uint64, endpoint=False)
    keys[0] = 0
    return keys


def belief_counts(width: int, episodes: int) -> Floats:
    """The number of beliefs of ``width`` arms after 0, 1, ..., episodes - 1 pulls.

    Exact below 2**53, rounded above.
    An arm with m > 0 pulls is one of m + 1 kinds, and j such arms make C(m + j, j) multisets.
    """
    ways = np.zeros((width + 1, episodes))
    ways[0, 0] = 1
    for m in range(1, episodes):
        longer = ways.copy()
        for j in range(1, min(width, (episodes - 1) // m) + 1):
            longer[j:, j * m :] += comb(m + j, j) * ways[:-j, : episodes - j * m]
        ways = longer
    return np.asarray(ways.sum(axis=0))
