"""Thompson sampling and its optimistic kin, against Table 1 and hand-computed probabilities."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rl2_sb3.baselines import (
    BanditAgent,
    OptimisticThompsonDensity,
    OptimisticThompsonMean,
    ThompsonSampling,
)
from rl2_sb3.baselines.thompson import beta_draws, whole_draws
from tests.baselines.test_bandits import play, seen


@pytest.mark.parametrize(
    ("agent", "pulls", "trials", "mean", "error"),
    [
        (ThompsonSampling(arms=5), 10, 4000, 5.7, 0.07),
        (ThompsonSampling(arms=50), 10, 4000, 5.2, 0.05),
        (ThompsonSampling(arms=5), 100, 4000, 74.7, 0.5),
        (ThompsonSampling(arms=10), 100, 4000, 76.7, 0.35),
        (OptimisticThompsonDensity(arms=5), 10, 4000, 6.5, 0.07),
        (OptimisticThompsonDensity(arms=10), 10, 2000, 6.2, 0.06),
        (OptimisticThompsonDensity(arms=50), 10, 500, 5.5, 0.09),
        (OptimisticThompsonDensity(arms=5), 100, 1000, 77.9, 0.7),
    ],
)
def test_table_1(agent: BanditAgent, pulls: int, trials: int, mean: float, error: float) -> None:
    """Within three standard errors, the paper's and ours together, and its rounding."""
    assert play(agent, pulls, trials).mean() == pytest.approx(mean, abs=3 * error + 0.05)


def test_thompson_by_hand() -> None:
    agent = ThompsonSampling(arms=2)
    # Beta(2, 1) beats Beta(1, 1) with the chance 2/3, and Beta(1, 2) with the chance 5/6.
    assert seen(agent, [(1, 1)]) == pytest.approx([1 / 3, 2 / 3], abs=1e-4)
    assert seen(agent, [(1, 1), (0, 0)]) == pytest.approx([1 / 6, 5 / 6], abs=1e-4)
    assert seen(ThompsonSampling(arms=4), []) == pytest.approx([1 / 4] * 4)


def test_optimism_of_the_mean_by_hand() -> None:
    # The fresh arm wins if its draw y is above 2/3 and above the other's, whose cdf is x^2.
    fresh = 19 / 81
    assert seen(OptimisticThompsonMean(arms=2), [(1, 1)]) == pytest.approx(
        [fresh, 1 - fresh], abs=1e-4
    )
    assert seen(OptimisticThompsonMean(arms=4), []) == pytest.approx([1 / 4] * 4)


@pytest.mark.parametrize("kind", [ThompsonSampling, OptimisticThompsonMean])
@pytest.mark.parametrize(
    ("successes", "failures"),
    [([3, 0, 0, 1], [2, 0, 4, 0]), ([1, 1, 1], [1, 1, 2]), ([180, 170, 9], [120, 118, 6])],
)
def test_choices_follow_the_probabilities(
    kind: type[ThompsonSampling | OptimisticThompsonMean],
    successes: list[int],
    failures: list[int],
) -> None:
    trials = 40_000
    agent = kind(arms=len(successes))
    counts = np.array([successes], np.int32), np.array([failures], np.int32)
    chosen = agent.choose(*(np.repeat(count, trials, axis=0) for count in counts))
    share = np.bincount(chosen, minlength=agent.arms) / trials
    error = 5 * 0.5 / math.sqrt(trials)
    assert share == pytest.approx(agent.probabilities(*counts)[0], abs=error)


def test_probabilities_do_not_depend_on_the_other_trials() -> None:
    rng = np.random.default_rng(0)
    successes, failures = rng.integers(0, 9, (2, 300, 3)).astype(np.int32)
    for agent in (ThompsonSampling(arms=3), OptimisticThompsonMean(arms=3)):
        together = agent.probabilities(successes, failures)
        assert together.sum(axis=1) == pytest.approx(1)
        alone = agent.probabilities(successes[211:212], failures[211:212])
        assert together[211] == pytest.approx(alone[0])


def test_density_by_hand() -> None:
    """Beta(2, 1) against a fresh arm: the joint density is the first draw.

    The one kept is the highest of N draws of Beta(2, 1), with the cdf x^2N; the fresh arm is
    below it with the chance E[x] = 2N / (2N + 1). One draw is Thompson sampling's 2/3.
    """
    trials = 40_000
    successes = np.repeat(np.array([[1, 0]], np.int32), trials, axis=0)
    for samples in (1, 4):
        agent = OptimisticThompsonDensity(arms=2, samples=samples)
        share = np.mean(agent.choose(successes, 0 * successes) == 0)
        chance = 2 * samples / (2 * samples + 1)
        assert share == pytest.approx(chance, abs=5 * 0.5 / math.sqrt(trials))
        # A failure turns it round: the density is one minus the draw, of Beta(1, 2).
        share = np.mean(agent.choose(0 * successes, successes) == 1)
        assert share == pytest.approx(chance, abs=5 * 0.5 / math.sqrt(trials))


def test_density_tells_the_trials_apart() -> None:
    """Chunks of trials with no, one and two arms that were pulled."""
    kinds = np.array([[[0, 0], [0, 0]], [[1, 0], [0, 0]], [[0, 9], [9, 0]]], np.int32)
    counts = np.tile(kinds, (10_000, 1, 1))
    agent = OptimisticThompsonDensity(arms=2, samples=4)
    chosen = agent.choose(counts[:, 0], counts[:, 1]).reshape(-1, 3)
    share = np.mean(chosen == 0, axis=0)
    assert share == pytest.approx([1 / 2, 8 / 9, 0], abs=5 * 0.5 / math.sqrt(len(chosen)))


@pytest.mark.parametrize(
    ("draw", "beside", "alpha", "beta"),
    [
        *((beta_draws, (9, 4), *shape) for shape in ((1, 1), (1, 3), (2, 1), (2.5, 7), (300, 200))),
        *(
            (partial(whole_draws, 1), (5, 1), *shape)
            for shape in ((1, 3), (8, 1), (1.5, 1), (1, 400))
        ),
        *(
            (partial(whole_draws, 2), (2, 9), *shape)
            for shape in ((2, 2), (2, 3), (90, 2), (2, 2.5))
        ),
    ],
)
def test_draws_of_a_beta_distribution(
    draw: Any, beside: tuple[int, int], alpha: float, beta: float
) -> None:
    shapes = np.array([beside, (alpha, beta)], float).T
    draws, log_density = draw(*shapes, 100_000, np.random.default_rng(0))
    x, known = draws[:, 1].astype(float), stats.beta(alpha, beta)
    assert stats.kstest(x, known.cdf).pvalue > 0.01
    constant = known.logpdf(x) - log_density[:, 1]
    assert constant == pytest.approx(constant.mean(), abs=1e-3)


def test_density_as_it_is_defined() -> None:
    """Arms with parameters of one, two and more, and one that nobody has pulled."""
    trials, samples = 20_000, 5
    won, lost = np.array([0, 1, 3, 4, 0]), np.array([2, 1, 1, 5, 0])
    known = stats.beta(won + 1, lost + 1)
    draws = known.rvs((trials, samples, 5), random_state=1)
    likeliest = known.logpdf(draws).sum(axis=2).argmax(axis=1)
    expected = np.bincount(draws[np.arange(trials), likeliest].argmax(axis=1), minlength=5)
    agent = OptimisticThompsonDensity(arms=5, samples=samples)
    chosen = agent.choose(*(np.tile(counts, (trials, 1)) for counts in (won, lost)))
    error = 5 * np.sqrt(2 * 0.25 / trials)
    np.testing.assert_allclose(np.bincount(chosen) / trials, expected / trials, atol=error)


def test_density_of_a_prior_near_zero() -> None:
    """Draws that round to 0 and 1 have a density all the same."""
    agent = OptimisticThompsonDensity(arms=3, prior_alpha=0.001, prior_beta=0.001)
    with np.errstate(all="raise", under="ignore"):
        assert play(agent, 5, 200).mean() > 2


def test_errors_name_the_way_out() -> None:
    with pytest.raises(ValueError, match="at least one draw"):
        OptimisticThompsonDensity(arms=2, samples=0)
    with pytest.raises(NotImplementedError, match="imitate the actions"):
        seen(OptimisticThompsonDensity(arms=2), [])
