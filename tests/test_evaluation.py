from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3 import BernoulliBandit, evaluate_trials
from rl2_sb3.baselines import ThompsonSampling
from rl2_sb3.config import Workers
from rl2_sb3.evaluation import Evaluation, trial_tasks
from rl2_sb3.trials import BatchedTrials
from tests.envs import ListedGoals


class FirstArm:
    """Always acts 0, and notes what it is fed."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        n = len(observation["start"])
        self.seen.append((observation["start"][:, 0].copy(), np.array(episode_start)))
        return np.zeros(n, int), state


class Right(FirstArm):
    """Always acts 1."""

    def predict(self, observation: Any, *args: Any, **options: Any) -> tuple[Any, Any]:
        return np.ones(len(observation["start"]), int), None


def test_returns_are_those_of_each_episode() -> None:
    """The first arm of 3 bandits over 4 pulls, replayed by hand from the same seeds."""
    result = evaluate_trials(FirstArm(), BernoulliBandit(arms=2), 3, seed=7, episodes=4)
    assert result.returns.shape == result.lengths.shape == (3, 4)
    assert (result.lengths == 1).all()
    assert np.isnan(result.successes).all()
    seed = int(np.random.SeedSequence([0x7E57, 7, 0]).generate_state(1)[0])
    tasks, noise = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    means = tasks.beta(1, 1, (3, 2))
    expected = np.stack([noise.random(3) < means[:, 0] for _ in range(4)], axis=1)
    np.testing.assert_array_equal(result.returns, expected)


def test_every_agent_meets_the_same_tasks_and_noise() -> None:
    bandit = BernoulliBandit(arms=1)  # whoever plays, the rewards are the tasks and the noise
    one = evaluate_trials(FirstArm(), bandit, 50, seed=1, episodes=5)
    other = evaluate_trials(ThompsonSampling(arms=1, seed=9), bandit, 50, seed=1, episodes=5)
    np.testing.assert_array_equal(one.returns, other.returns)
    another_seed = evaluate_trials(FirstArm(), bandit, 50, seed=2, episodes=5)
    assert (another_seed.returns != one.returns).any()


class Guess(FirstArm):
    """Draws its actions from torch's generator, as policies do."""

    def predict(self, observation: Any, *args: Any, **options: Any) -> tuple[Any, Any]:
        return th.randint(2, (len(observation["start"]),)).numpy(), None


def test_the_seed_is_that_of_the_actions_too() -> None:
    """An evaluation is the same whatever was drawn before, and disturbs nothing after it."""
    bandit = BernoulliBandit(arms=2)
    th.manual_seed(1)
    first = evaluate_trials(Guess(), bandit, 20, seed=3, episodes=5)
    th.manual_seed(2)
    state = th.get_rng_state()
    again = evaluate_trials(Guess(), bandit, 20, seed=3, episodes=5)
    np.testing.assert_array_equal(first.returns, again.returns)
    assert th.equal(th.get_rng_state(), state)


def test_a_fixed_list_of_gymnasium_trials_is_run_to_the_end() -> None:
    """More trials than environments, of different lengths: none is dropped or cut."""
    result = evaluate_trials(FirstArm(), "CartPole-v1", 19, seed=0, episodes=2)
    again = evaluate_trials(FirstArm(), "CartPole-v1", 19, seed=0, episodes=2)
    assert result.returns.shape == (19, 2)
    np.testing.assert_array_equal(result.returns, result.lengths)  # CartPole pays 1 a step
    assert (result.lengths >= 8).all()
    np.testing.assert_array_equal(
        result.lengths[:, 0], result.lengths[:, 1]
    )  # the seed is the task
    assert len(set(result.lengths[:, 0])) > 1
    np.testing.assert_array_equal(result.returns, again.returns)


@pytest.mark.parametrize("workers", ["in-process", "threads"])
def test_listed_tasks_are_gone_through_once(workers: Workers) -> None:
    """Six goals, then again. Each has its own steps for who walks right from -2, ... or 2."""
    result = evaluate_trials(Right(), ListedGoals(), 12, episodes=40, workers=workers)
    for trial in range(12):
        found = result.lengths[trial][result.successes[trial] == 1]
        steps = {trial % 6 - start for start in range(-2, 3)}
        assert set(found) == {each for each in steps if 0 < each <= 5}


def test_a_lost_trial_is_played_again() -> None:
    """Each environment dies in its 17th step."""
    whole = evaluate_trials(Right(), ListedGoals(), 20, episodes=3)
    again = evaluate_trials(Right(), ListedGoals(dies=17), 20, episodes=3)
    for one, other in (
        (whole.returns, again.returns),
        (whole.lengths, again.lengths),
        (whole.successes, again.successes),
    ):
        np.testing.assert_array_equal(one, other)


def test_the_bar_takes_back_a_lost_trials_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    bar = MagicMock()
    monkeypatch.setattr("rl2_sb3.evaluation.tqdm", bar)
    evaluate_trials(Right(), ListedGoals(dies=17), 20, episodes=3, progress="Right")
    counted = [call.args[0] for call in bar().__enter__().update.call_args_list]
    assert min(counted) < 0
    assert sum(counted) == bar.call_args_list[0].kwargs["total"] == 20 * 3


def test_successes_and_the_steps_that_they_take() -> None:
    lengths = np.array([[9, 4], [5, 5], [20, 20], [8, 20]])
    successes = np.array([[1, 1], [1, 1], [0, 0], [1, 0]], float)
    result = Evaluation(np.zeros((4, 2)), lengths, successes)
    np.testing.assert_array_equal(result.success_rates, [0.75, 0.5])
    (first, first_error), (second, second_error) = result.success_lengths
    assert (first, second) == (22 / 3, 4.5)
    assert first_error == pytest.approx(np.std([9, 5, 8], ddof=1) / np.sqrt(3))
    assert second_error == pytest.approx(0.5)
    assert result.improved == 0.75  # a failure is as long as its episode may be
    never = Evaluation(np.zeros((2, 1)), lengths[:2, :1], np.zeros((2, 1)))
    assert np.isnan(never.success_lengths[0][0])
    assert np.isnan(never.improved)


def test_agents_are_told_where_trials_start() -> None:
    agent = FirstArm()
    evaluate_trials(agent, "CartPole-v1", 3, seed=0, episodes=1)
    for start, episode_start in agent.seen:
        np.testing.assert_array_equal(start, episode_start)
    assert agent.seen[0][0].all()
    assert not agent.seen[1][0].any()


def test_training_with_the_same_seed_meets_other_tasks() -> None:
    result = evaluate_trials(FirstArm(), BernoulliBandit(arms=1), 200, seed=0, episodes=20)
    training: VecEnv = BatchedTrials(BernoulliBandit(arms=1), 200, 20, seed=0)
    training.reset()
    rewards = np.sum([training.step(np.zeros(200, int))[1] for _ in range(20)], axis=0)
    assert abs(np.corrcoef(rewards, result.trial_returns)[0, 1]) < 0.3


def test_mean_and_standard_error() -> None:
    result = Evaluation(
        np.array([[1.0, 2], [3, 4], [5, 9]]), np.ones((3, 2), np.int64), np.ones((3, 2))
    )
    np.testing.assert_array_equal(result.trial_returns, [3, 7, 14])
    assert result.mean == 8
    assert result.standard_error == pytest.approx(np.sqrt((25 + 1 + 36) / 2 / 3))


def test_regret_is_against_the_best_arm() -> None:
    """By hand, from the tasks of the list."""
    result = evaluate_trials(FirstArm(), BernoulliBandit(arms=4), 3, seed=7, episodes=5)
    (means,) = trial_tasks(BernoulliBandit(arms=4), 3, seed=7)
    seed = int(np.random.SeedSequence([0x7E57, 7, 0]).generate_state(1)[0])
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[0])
    np.testing.assert_array_equal(means, rng.beta(1, 1, (3, 4)))
    np.testing.assert_array_equal(result.optimal, means.max(axis=1))
    np.testing.assert_allclose(result.regret, means.max(axis=1)[:, None] - result.returns)


def test_no_regret_where_the_best_is_not_known() -> None:
    result = evaluate_trials(FirstArm(), "CartPole-v1", 2, seed=0, episodes=1)
    assert result.optimal is None
    with pytest.raises(ValueError, match="optimal_return"):
        _ = result.regret


def test_the_tasks_of_a_list_go_on_over_its_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl2_sb3.evaluation.BATCH", 2)
    result = evaluate_trials(FirstArm(), BernoulliBandit(arms=3), 5, seed=1, episodes=400)
    means = np.concatenate(list(trial_tasks(BernoulliBandit(arms=3), 5, seed=1)))
    assert means.shape == (5, 3)
    np.testing.assert_array_equal(result.optimal, means.max(axis=1))
    np.testing.assert_allclose(result.returns.mean(axis=1), means[:, 0], atol=0.1)


def test_no_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        evaluate_trials(FirstArm(), "bandit", 0)
