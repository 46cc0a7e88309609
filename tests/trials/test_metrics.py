"""What environments report of episodes beside their return: the log, evaluation, its tables."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.cli import main
from rl2_sb3.evaluation import evaluate_trials
from rl2_sb3.registry import TASKS
from rl2_sb3.tasks import BatchedTasks, GymTasks
from rl2_sb3.trials.episode_metrics import EpisodeMetrics, stacked
from tests.envs import FragileEnv, GoalEnv

SMALL = {"hidden_size": 4}


class Lengths(BatchedTasks[Any, Any]):
    """A task is its number of steps, 1 or 2; metrics: twice that, and NaN in the tasks of 1."""

    def __init__(self) -> None:
        self.observation_space, self.action_space = spaces.Discrete(1), spaces.Discrete(2)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.integers(1, 3, n)

    def reset(self, params: Any, rng: np.random.Generator) -> Any:
        return np.zeros(len(params), np.int64), np.zeros(len(params), np.int64)

    def step(self, params: Any, state: Any, action: Any, rng: np.random.Generator) -> Any:
        n = len(params)
        return state + 1, np.zeros(n, np.int64), np.ones(n), state + 1 == params

    def metrics(self, params: Any, state: Any) -> Any:
        known = np.where(params == 2, 7.0, np.nan)
        return {"double": 2 * state, "known": known, "success": params == 2}


class MeteredGoal(GoalEnv):
    """Reports the goal, and how far it was, in every step: those of an episode's end count."""

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = super().step(action)
        told = {**info.get("rl2", {}), "metrics": {"goal": self.goal, "far": self.elapsed}}
        return obs, reward, terminated, truncated, {**info, "rl2": told}


class MeteredGoals(GymTasks):
    def sample(self, rng: np.random.Generator) -> int:
        return int(rng.integers(20, 23))  # never reached: five steps an episode

    def make_env(self) -> MeteredGoal:
        return MeteredGoal()


class Logged(BaseCallback):
    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.seen = dict(self.logger.name_to_value)


def learn(trials: Any, n_steps: int) -> dict[str, float]:
    logged = Logged()
    model = RL2PPO("GRUPolicy", trials, n_steps=n_steps, policy_kwargs=SMALL, seed=0)
    model.learn(n_steps * trials.num_envs, logged)
    return logged.seen


def test_arrays_report_in_the_log() -> None:
    """The trials of one step end twice in four steps, those of two once, in two episodes."""
    trials: Any = make_trials(Lengths(), 64, episodes=2, seed=0)
    trials.reset()
    first = trials.get_state()["params"]
    trials.seed(0)
    seen = learn(trials, 2)  # only trials of length 1, twice as many steps
    assert 0 < (first == 1).sum() < 64
    assert seen["metrics/double"] == seen["metrics/double_episode_1"] == 2
    assert "metrics/known" not in seen
    assert seen["trial/success"] == 0
    seen = learn(make_trials(Lengths(), 64, episodes=2, seed=0), 4)
    assert 2 < seen["metrics/double_episode_2"] < 4
    assert seen["metrics/known"] == seen["metrics/known_episode_2"] == 7
    assert seen["metrics/double"] == pytest.approx(2 + 2 * seen["trial/success"])


@pytest.mark.parametrize("workers", ["in-process", "threads", "subprocess"])
def test_environments_report_in_the_log(workers: Any) -> None:
    seen = learn(make_trials(MeteredGoals(), 2, episodes=2, seed=0, workers=workers), 10)
    assert 20 <= seen["metrics/goal"] <= 22
    assert seen["metrics/far"] == seen["metrics/far_episode_1"] == 5


def test_evaluation_has_them_by_trial_and_episode() -> None:
    trials = make_trials(Lengths(), 2, episodes=2)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs=SMALL)
    played = evaluate_trials(model, Lengths(), 30, episodes=2)
    np.testing.assert_array_equal(played.metrics["double"], 2 * played.lengths)
    np.testing.assert_array_equal(played.successes, played.lengths == 2)
    np.testing.assert_array_equal(np.isnan(played.metrics["known"]), played.lengths == 1)
    assert "success" not in played.metrics


def test_a_lost_trial_reports_only_what_its_repetition_does() -> None:
    class Fragile(FragileEnv):
        """Numbers its episodes, the lost one's included."""

        number = 0

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            self.number += 1
            return super().reset(seed=seed, options=options)

        def step(self, action: Any) -> Any:
            obs, reward, terminated, truncated, info = super().step(action)
            info.setdefault("rl2", {})["metrics"] = {"number": self.number}
            return obs, reward, terminated, truncated, info

    class FragileGoals(MeteredGoals):
        def make_env(self) -> Any:
            return Fragile(dies=8)  # in its second episode

    model = RL2PPO("GRUPolicy", make_trials(FragileGoals(), 1, episodes=2), policy_kwargs=SMALL)
    played = evaluate_trials(model, FragileGoals(), 1, episodes=2)
    np.testing.assert_array_equal(played.metrics["number"], [[3, 4]])


def test_parts_of_an_evaluation_may_report_other_names() -> None:
    one, other = EpisodeMetrics(1, 2), EpisodeMetrics(1, 2)
    one.note(np.array([0]), np.array([1]), {"a": np.array([3.0])})
    other.note(np.array([0]), np.array([0]), {"b": np.array([4.0])})
    whole = stacked([one, other])
    np.testing.assert_array_equal(whole["a"], [[np.nan, 3], [np.nan, np.nan]])
    np.testing.assert_array_equal(whole["b"], [[np.nan, np.nan], [4, np.nan]])


def test_the_command_prints_and_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TASKS, "names", lambda: ["lengths"])
    monkeypatch.setattr(TASKS, "load", lambda name: Lengths)
    play = ["--task", "lengths", "--episodes", "2", "--trials", "40", "--out", "played"]
    main(["evaluate", "random", *play])
    printed = capsys.readouterr().out
    assert "Metrics of episodes" in printed
    rows = list(csv.DictReader((tmp_path / "played" / "metrics.csv").open()))
    known = [row for row in rows if row["metric"] == "known"]
    assert [(row["agent"], row["episode"], row["mean"]) for row in known] == [
        ("random", "1", "7"),
        ("random", "2", "7"),
    ]
    assert 0 < int(known[0]["trials"]) < 40
    doubles = [float(row["mean"]) for row in rows if row["metric"] == "double"]
    assert doubles[0] == doubles[1] == 2 + 2 * int(known[0]["trials"]) / 40


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([1], r'\["metrics"\] = \[1\] is no dict'),
        ({"x": "far"}, "'x' = array.*: give finite numbers of shape \\(\\)"),
        ({"x": float("inf")}, "give finite numbers"),
        ({"x": [1, 2]}, r"'x' of shape \(2,\): give finite numbers of shape \(\), or NaN"),
        ({3: 1.0}, "the name 3: use a string of 1 to 30 characters"),
        ({"x" * 31: 1.0}, "use a string of 1 to 30 characters"),
        ({"success": 1.0}, 'give it beside "metrics"'),
    ],
)
def test_what_is_no_metric_is_refused(metrics: Any, message: str) -> None:
    class Bad(GoalEnv):
        def step(self, action: Any) -> Any:
            return *super().step(action)[:4], {"rl2": {"metrics": metrics}}

    class Bads(MeteredGoals):
        def make_env(self) -> Any:
            return Bad()

    trials = make_trials(Bads(), 1)
    trials.reset()
    with pytest.raises(RuntimeError, match=message):
        trials.step(np.zeros(1, np.int64))


def test_arrays_of_the_wrong_shape_are_refused() -> None:
    class Bad(Lengths):
        def metrics(self, params: Any, state: Any) -> Any:
            return {"x": np.zeros(len(params) + 1)}

    trials = make_trials(Bad(), 64)
    trials.reset()
    with pytest.raises(
        RuntimeError, match=r"Bad\.metrics gives 'x' of shape \(65,\): give .* \(64,\)"
    ):
        trials.step(np.zeros(64, np.int64))
