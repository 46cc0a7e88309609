import numpy as np
import pytest

from rl2_sb3.tasks import BernoulliBandit
from rl2_sb3.testing import check_tasks


def test_keeps_the_contract() -> None:
    check_tasks(BernoulliBandit(arms=3))


def test_pull_pays_by_the_arm_pulled_and_ends_the_episode() -> None:
    bandit = BernoulliBandit(arms=2)
    params, rng = np.array([[0.0, 1.0], [0.0, 1.0]]), np.random.default_rng(0)

    state, observation = bandit.reset(params, rng)
    np.testing.assert_array_equal(observation, [0, 0])

    _, observation, reward, ended = bandit.step(params, state, np.array([0, 1]), rng)
    np.testing.assert_array_equal(observation, [0, 0])
    np.testing.assert_array_equal(reward, [0, 1])
    np.testing.assert_array_equal(ended, [True, True])
    assert bandit.horizon == 1


def test_mean_reward_is_the_arm_s_mean() -> None:
    bandit, params = BernoulliBandit(arms=2), np.full((20_000, 2), [0.2, 0.7])
    for arm, mean in enumerate(params[0]):
        actions = np.full(len(params), arm)
        reward = bandit.step(params, None, actions, np.random.default_rng(0))[2]
        assert reward.mean() == pytest.approx(mean, abs=4 * 0.5 / len(params) ** 0.5)


def test_agents_meet_the_same_noise_whatever_they_pull() -> None:
    bandit, params = BernoulliBandit(arms=2), np.full((1000, 2), [0.2, 0.7])
    worse, better = (
        bandit.step(params, None, np.full(1000, arm), np.random.default_rng(3))[2] for arm in (0, 1)
    )
    assert (worse <= better).all()


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (2.0, 1.0), (0.5, 1.5)])
def test_means_come_from_the_beta_prior(alpha: float, beta: float) -> None:
    bandit = BernoulliBandit(arms=4, alpha=alpha, beta=beta)
    means = bandit.sample(50_000, np.random.default_rng(0))
    total = alpha + beta
    variance = alpha * beta / (total**2 * (total + 1))

    assert means.shape == (50_000, 4)
    assert means.mean() == pytest.approx(alpha / total, abs=0.005)
    assert means.var() == pytest.approx(variance, abs=0.005)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": 0}, "arms=0: a bandit needs at least one arm"),
        ({"alpha": 0.0}, r"alpha=0\.0, beta=1\.0: both must be positive"),
        ({"alpha": float("nan")}, "alpha=nan, beta=1.0: both must be positive, and finite"),
        ({"beta": float("inf")}, "both must be positive, and finite"),
        ({"beta": -1.0}, r"alpha=1\.0, beta=-1\.0: both must be positive"),
    ],
)
def test_impossible_bandits_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BernoulliBandit(**options)  # type: ignore[arg-type]
