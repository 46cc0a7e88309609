"""The posterior of tabular MDPs, by hand and by its moments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rl2_sb3.baselines.posterior import Posterior, Prior


def seen(prior: Prior) -> Posterior:
    """Two rewards, 2 and 5, of action 1 in state 0; state 1 followed the first."""
    visits, rewards = np.array([[[0, 2], [0, 0]]]), np.array([[[0, 7.0], [0, 0]]])
    transitions = np.zeros((1, 2, 2, 2), np.int32)
    transitions[0, 0, 1, 1] = 1
    return prior.posterior(visits, rewards, transitions)


def test_posterior_by_hand() -> None:
    posterior = seen(Prior(mu0=1, tau0=2, alpha0=0.5, noise_precision=3))
    # Precision 2 + 2 x 3; mean (2 x 1 + 3 x 7) / 8.
    assert posterior.precision.tolist() == [[[2, 8], [2, 2]]]
    assert posterior.mean.tolist() == [[[1, 23 / 8], [1, 1]]]
    assert posterior.concentration[0, 0].tolist() == [[0.5, 0.5], [0.5, 1.5]]
    rewards, transitions = posterior.mean_mdp()
    assert (rewards == posterior.mean).all()
    assert transitions[0, 0].tolist() == [[0.5, 0.5], [0.25, 0.75]]


def test_one_reward_after_the_other() -> None:
    """Normal with known precision, updated a reward at a time, as TabulaRL does."""
    mean, precision = 1.0, 2.0
    for reward in (2.0, 5.0):
        mean = (mean * precision + 3 * reward) / (precision + 3)
        precision += 3
    posterior = seen(Prior(1, 2, 1, noise_precision=3))
    assert posterior.mean[0, 0, 1] == pytest.approx(mean)
    assert posterior.precision[0, 0, 1] == pytest.approx(precision)


def test_draws_follow_the_posterior() -> None:
    posterior = seen(Prior(mu0=1, tau0=2, alpha0=0.5))
    many = Posterior(*(np.repeat(part, 5000, axis=0) for part in posterior))
    rewards, transitions = many.draw_mdp(np.random.default_rng(0))
    # Precision 2 + 2; mean (2 x 1 + 7) / 4. The next state's chance is Beta(1.5, 0.5).
    assert stats.kstest(rewards[:, 0, 1], stats.norm(9 / 4, 1 / 2).cdf).pvalue > 0.01
    assert stats.kstest(rewards[:, 1, 1], stats.norm(1, 0.5**0.5).cdf).pvalue > 0.01
    assert stats.kstest(transitions[:, 0, 1, 1], stats.beta(1.5, 0.5).cdf).pvalue > 0.01
    assert transitions.sum(axis=3) == pytest.approx(1)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((np.inf, 1, 1), "mu0=inf: give a finite number"),
        ((0, 0, 1), "tau0=0: must be positive"),
        ((0, 1, -1), "alpha0=-1: must be positive"),
        ((0, 1, 1, np.nan), "noise_precision=nan: must be positive"),
    ],
)
def test_impossible_priors_are_refused(numbers: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prior(*numbers)
