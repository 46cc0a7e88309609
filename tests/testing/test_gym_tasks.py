"""Broken Gymnasium tasks for each violation of their contract, and what is said of them."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rl2_sb3.testing import check_tasks
from rl2_sb3.testing import tasks as check
from tests.envs import GoalEnv, GoalTasks

Rng = np.random.Generator


class UnseededGoals(GoalTasks):
    def sample(self, rng: Rng) -> Any:
        return int(np.random.default_rng().integers(1000))


class SeedlessGoals(GoalTasks):
    drawn = 0

    def sample(self, rng: Rng) -> Any:
        self.drawn = (self.drawn + 1) % 64  # of which 64 are drawn from each seed
        return self.drawn


class GlobalGoals(GoalTasks):
    def sample(self, rng: Rng) -> Any:
        return np.random.randint(5)  # noqa: NPY002


class GoalsThatStay(GoalTasks):
    def sample(self, rng: Rng) -> Any:
        return lambda: rng


class NoEnv(GoalTasks):
    def make_env(self) -> Any:
        return 7


class OneEnv(GoalTasks):
    env = GoalEnv()

    def make_env(self) -> Any:
        return self.env


class NoOptions(GoalEnv):
    def reset(self, *, seed: int | None = None) -> Any:  # type: ignore[override]
        return super().reset(seed=seed)


class OtherOption(GoalEnv):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=seed, options=options and {"task": options["goal"]})


class UnseededEnv(GoalEnv):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=None, options=options)


class EnvThatRemembers(GoalEnv):
    episodes = 0

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, reward + self.episodes, *rest

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.episodes += 1
        return super().reset(seed=seed, options=options)


class EndlessEnv(GoalEnv):
    def step(self, action: Any) -> Any:
        self.elapsed = 0
        observation, reward, _, _, info = super().step(action)
        self.place %= 10
        return observation, reward, False, False, info


class TupleEnv(GoalEnv):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space: Any = spaces.Tuple([self.observation_space])


class OutsideEnv(GoalEnv):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Box(50, 60, (1,), np.float32)


class IgnorantEnv(GoalEnv):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=seed)


class SilentGoals(GoalTasks):
    privileged_size = 2

    def make_env(self) -> Any:
        env: Any = ToldEnv()
        return env


class ToldEnv(GoalEnv):
    def step(self, action: Any) -> Any:
        *given, info = super().step(action)
        return *given, {**info, "rl2": {"training_reward": 0.0}}


class In(GoalTasks):
    """Goals in another environment."""

    def __init__(self, env: type[gym.Env[Any, Any]]) -> None:
        super().__init__()
        self.env = env

    def make_env(self) -> Any:
        return self.env()


def name(tasks: GoalTasks) -> str:
    return tasks.env.__name__ if isinstance(tasks, In) else type(tasks).__name__


BROKEN_GYM: list[tuple[GoalTasks, str]] = [
    (UnseededGoals(), "sample gives other tasks for the same seed: draw from rng only"),
    (SeedlessGoals(), "sample gives the same tasks for every seed: draw from rng"),
    (GlobalGoals(), "sample draws from a global random generator"),
    (GoalsThatStay(), r"A task cannot be pickled \(.*lambda.*\): make it of numbers, arrays"),
    (NoEnv(), r"make_env gives 7: give a gymnasium\.Env"),
    (OneEnv(), "make_env gives one environment twice: make a new one each time"),
    (SilentGoals(), r"privileged observation of shape \(0,\), not \(2,\): give that"),
    (In(TupleEnv), "hands in an observation without 'observation_0'"),
    (In(NoOptions), r"reset\(seed=\.\.\., options=.*\) raised TypeError.*: take the task from"),
    (In(OtherOption), r"reset\(seed=\.\.\., options=.*\) raised KeyError\('goal'\): take the"),
    (In(UnseededEnv), "The same task, seed and actions give another episode: reset all state"),
    (In(EnvThatRemembers), "The same task, seed and actions give another episode"),
    (In(EndlessEnv), "No trial ended in 50 steps of random actions: end episodes at a"),
    (In(OutsideEnv), "hands in observation 1.0, which is out of the bounds of"),
]


@pytest.mark.parametrize(
    ("broken", "message"), BROKEN_GYM, ids=[name(broken) for broken, _ in BROKEN_GYM]
)
def test_broken_gym_tasks(broken: GoalTasks, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "STEPS", 50)
    monkeypatch.setattr(check, "NO_END", check.NO_END.replace("10000", "50"))
    with pytest.raises((AssertionError, ValueError, RuntimeError), match=message):
        check_tasks(broken)


class ArrayGoals(GoalTasks):
    """Tasks that are dicts of arrays."""

    def sample(self, rng: Rng) -> Any:
        return {"goal": rng.integers(-5, 6, 1)}

    def make_env(self) -> Any:
        return In.make_env(self)  # type: ignore[arg-type]

    class env(GoalEnv):  # noqa: N801
        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            task = int(options["task"]["goal"][0]) if options else 0
            return super().reset(seed=seed, options={"task": task})


@pytest.mark.parametrize("tasks", [GoalTasks(), ArrayGoals()])
def test_whole_gym_tasks(tasks: GoalTasks, recwarn: pytest.WarningsRecorder) -> None:
    check_tasks(tasks)
    assert not recwarn.list


def test_environment_that_ignores_its_task_is_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"is options\['task'\] looked at\?"):
        check_tasks(In(IgnorantEnv))


def test_equal_gym_tasks_are_a_warning() -> None:
    with pytest.warns(UserWarning, match="All tasks are equal"):
        check_tasks(GoalTasks(width=0))
