"""Habits of SB3's users: evaluation and monitors give what they give there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit
from stable_baselines3.common.callbacks import (
    BaseCallback,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor

from rl2_sb3 import RL2PPO, TrialWrapper, evaluate_trials, make_trials

EPISODES, STEPS = 3, 4
TRIAL = EPISODES * STEPS


class Paid(gym.Env[Any, Any]):
    """Episodes of four steps that pay 1 each; ``info`` is told in every step."""

    def __init__(self, info: dict[str, Any] | None = None) -> None:
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.info = info or {}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.elapsed = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.elapsed += 1
        over = self.elapsed == STEPS
        return np.zeros(2, np.float32), 1.0, over, False, dict(self.info)


class Plain(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper of a user's."""


def trial(env: gym.Env[Any, Any] | None = None) -> TrialWrapper:
    return TrialWrapper(Paid() if env is None else env, EPISODES)


def small(env: Any, **options: Any) -> RL2PPO:
    options = {"n_steps": 8, "n_epochs": 1, "seed": 0, **options}
    return RL2PPO("GRUPolicy", env, policy_kwargs={"hidden_size": 4}, **options)


def evaluated(model: Any, env: Any) -> Any:
    return evaluate_policy(model, env, 6, return_episode_rewards=True, warn=False)


MONITORED: dict[str, Callable[[], Any]] = {
    "none": trial,
    "around the trial": lambda: Monitor(trial()),
    "right inside": lambda: trial(Monitor(Paid())),
    "further inside": lambda: trial(Plain(Monitor(Paid()))),
    "inside of a limit around the trial": lambda: TimeLimit(trial(Plain(Monitor(Paid()))), TRIAL),
    "inside and around": lambda: Monitor(trial(Plain(Monitor(Paid())))),
    "statistics inside": lambda: trial(Plain(RecordEpisodeStatistics(Paid()))),
    "statistics in and around": lambda: RecordEpisodeStatistics(
        trial(Plain(RecordEpisodeStatistics(Paid())))
    ),
    "VecMonitor": lambda: VecMonitor(DummyVecEnv([trial, trial])),
    "VecMonitor and Monitor": lambda: VecMonitor(DummyVecEnv([MONITORED["further inside"]])),
    "VecMonitor of arrays": lambda: VecMonitor(make_trials("bandit", 2, 12, arms=2, alpha=1e9)),
}


@pytest.mark.parametrize("place", MONITORED)
def test_a_monitor_in_any_place_tells_returns_of_trials(place: str) -> None:
    env = MONITORED[place]()
    rewards, lengths = evaluated(small(env), env)
    assert lengths == [TRIAL] * 6
    assert rewards == pytest.approx([12] * 6, abs=1e-4)


def test_a_monitor_further_inside_of_a_plain_environment() -> None:
    model = small(make_vec_env(Paid, 2, wrapper_class=Plain), episodes=EPISODES)
    env = model.get_env()
    assert env is not None
    assert evaluate_policy(model, env, 6) == (12.0, 0.0)


@pytest.mark.parametrize("vector", [False, True])
def test_a_monitors_file_has_a_line_for_each_trial(vector: bool, tmp_path: Path) -> None:
    folder = str(tmp_path)
    env: VecEnv = make_vec_env(Paid, 2, monitor_dir=None if vector else folder)
    env = VecMonitor(env, folder) if vector else env
    small(env, episodes=EPISODES).learn(4 * TRIAL)
    rows = [
        line.split(",")[:2]
        for file in sorted(tmp_path.glob("*monitor.csv"))
        for line in file.read_text().splitlines()[2:]  # below a comment and the names
    ]
    assert rows == [["12.0", str(TRIAL)]] * 4


def test_a_limit_around_trials_ends_them_for_evaluate_policy(tmp_path: Path) -> None:
    """With a Monitor further inside, whose account of a trial that is cut never comes."""
    env = TimeLimit(trial(Plain(Monitor(Paid()))), TRIAL // 2)
    rewards, lengths = evaluated(small(trial()), env)
    assert lengths == [TRIAL // 2] * 6
    monitored = Monitor(TimeLimit(trial(Plain(Monitor(Paid()))), TRIAL // 2))
    assert evaluated(small(trial()), monitored) == (pytest.approx(rewards), lengths)


def test_the_file_of_a_monitor_further_inside_has_a_line_for_each_trial(tmp_path: Path) -> None:
    file = tmp_path / "monitor.csv"
    small(Plain(Monitor(Paid(), str(file))), episodes=EPISODES).learn(2 * TRIAL)
    rows = [line.split(",")[:2] for line in file.read_text().splitlines()[2:]]
    assert rows[:2] == [["12.0", str(TRIAL)]] * 2


def test_evaluate_policy_on_trials() -> None:
    model = small(trial())
    assert evaluate_policy(model, trial(), 6, warn=False) == (12.0, 0.0)
    assert evaluate_policy(model, DummyVecEnv([trial] * 3), 6, warn=False) == (12.0, 0.0)


def test_evaluate_policy_on_a_plain_environment_says_to_wrap_it() -> None:
    with pytest.raises(ValueError, match=r"wrap the environment in rl2_sb3\.TrialWrapper"):
        evaluate_policy(small(trial()), Paid(), 6, warn=False)


@pytest.mark.parametrize(("limit", "episodes"), [(10, [4, 4, 2]), (6, [4, 2])])
def test_a_time_limit_around_a_trial_cuts_it_and_its_return_counts(
    limit: int, episodes: list[int]
) -> None:
    model, logged = small(TimeLimit(trial(), limit), n_steps=2 * limit), {}

    class Logged(BaseCallback):
        def _on_rollout_end(self) -> None:
            logged.update(self.logger.name_to_value)

        def _on_step(self) -> bool:
            return True

    model.learn(2 * limit, Logged())
    assert logged["trial/return"] == limit
    assert logged["trial/length"] == limit
    found = [logged.get(f"trial/return_episode_{i}") for i in (1, 2, 3)]
    assert [each for each in found if each is not None] == episodes
    assert ("trial/gain" in logged) == (len(episodes) == EPISODES)
    assert [each["r"] for each in model.ep_info_buffer or ()] == [limit, limit]
    assert "trial/lost" not in logged


def test_the_rewards_of_a_trial_that_a_time_limit_cut_have_what_would_have_come() -> None:
    model = small(TimeLimit(trial(), 10), n_steps=20, gamma=0.5)
    model.policy.value_scale.fill_(1)
    model.policy.value_shift.fill_(6)
    for parameter in model.policy.value_net.parameters():
        parameter.data.zero_()
    rewards: list[Any] = []

    class Rewards(BaseCallback):
        def _on_rollout_end(self) -> None:
            rewards.append(self.model.rollout_buffer.rewards[:, 0].copy())  # type: ignore[attr-defined]

        def _on_step(self) -> bool:
            return True

    model.learn(20, Rewards())
    cut = 1 + 0.5 * 6
    np.testing.assert_allclose(rewards[0], [*[1.0] * 9, cut, *[1.0] * 9, cut])


class Game(gym.Env[Any, Any]):
    """Four moves; action 1 in the last one wins. It tells who lost, as text games do."""

    def __init__(self) -> None:
        self.observation_space, self.action_space = spaces.Discrete(1), spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.moves = 0
        return 0, {"won": False, "lost": False}

    def step(self, action: Any) -> Any:
        self.moves += 1
        if self.moves < STEPS:
            return 0, 0.0, False, False, {"won": False, "lost": False}
        won = bool(action == 1)
        return 0, 2.0 * won - 1, True, False, {"won": won, "lost": not won, "is_success": won}


class WinsSeven:
    """Wins all episodes of seven trials in ten, or of none."""

    def __init__(self, wins: int = 7):
        self.wins = wins
        self.trials = np.zeros(0, np.int64)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        columns = np.arange(len(episode_start))
        self.trials = columns if state is None else self.trials + len(columns) * episode_start
        return (self.trials % 10 < self.wins).astype(np.int64), (0,)


def test_a_game_that_is_lost_is_no_dead_simulator() -> None:
    result = evaluate_trials(WinsSeven(), Game, 20, episodes=2)
    assert result.mean == pytest.approx(0.8)
    assert result.success_rates.tolist() == [0.7, 0.7]
    assert evaluate_trials(WinsSeven(0), Game, 20, episodes=2).mean == -2


def test_rewards_that_a_wrapper_tells_are_not_learned_from() -> None:
    told = {"expected_reward": 100.0, "training_reward": 100.0, "privileged": [1.0]}
    model = small(trial(Paid(told)))
    model.learn(8)
    assert model.rollout_buffer.rewards.tolist() == [[1.0]] * 8


def test_subprocesses_and_their_monitors() -> None:
    env = make_vec_env(Paid, 2, wrapper_class=trial, vec_env_cls=SubprocVecEnv)
    try:
        rewards, lengths = evaluated(small(env), env)
        assert (rewards, lengths) == ([12.0] * 6, [TRIAL] * 6)
    finally:
        env.close()
