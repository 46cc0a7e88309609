"""A broken distribution for each violation of the contract of arrays, and what is said of it."""

import pickle
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rl2_sb3.tasks import BatchedTasks
from rl2_sb3.testing import check_tasks
from rl2_sb3.testing import tasks as check
from tests.envs import RaggedTasks, SmallEnv, vector
from tests.testing.broken_tasks import BROKEN, Arms, Rng


@pytest.mark.parametrize(
    ("broken", "message"), BROKEN, ids=[broken.__name__ for broken, _ in BROKEN]
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_broken_batched_tasks(
    broken: type[Arms], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "STEPS", 50)
    monkeypatch.setattr(check, "NO_END", check.NO_END.replace("10000", "50"))
    with pytest.raises((AssertionError, ValueError), match=message):
        check_tasks(broken())


class Told(Arms):
    def privileged_observation(self, params: Any, state: Any) -> Any:
        return params

    def training_reward(self, params: Any, state: Any, action: Any) -> Any:
        return params[np.arange(len(params)), action].astype(np.float32)


@pytest.mark.parametrize("tasks", [Arms(), RaggedTasks(), Told()])
def test_whole_batched_tasks(tasks: BatchedTasks[Any, Any]) -> None:
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    check_tasks(tasks, n=8)
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002


def test_horizon_may_be_left_out() -> None:
    tasks = Arms()
    tasks.horizon = None
    check_tasks(tasks)


class EndsByAction(Arms):
    """Actions decide when episodes end, and so how many starts are drawn."""

    horizon = None

    def reset(self, params: Any, rng: Rng) -> Any:
        state = rng.integers(0, 2, len(params))
        return state, state

    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        state, observation, reward, ended = super().step(params, state, action, rng)
        return state, observation, reward, ended | (action == 1)


def test_noise_may_depend_on_actions_through_the_episodes_ends() -> None:
    check_tasks(EndsByAction())


class AllEqual(Arms):
    def sample(self, n: int, rng: Rng) -> Any:
        return np.full((n, 2), 0.5)


def test_equal_tasks_are_a_warning() -> None:
    with pytest.warns(UserWarning, match="All tasks are equal"):
        check_tasks(AllEqual())


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (Arms, "is neither a BatchedTasks nor a GymTasks: pass an instance"),
        (SmallEnv(vector(1), spaces.Discrete(2)), "nor a GymTasks: subclass one of them"),
    ],
)
def test_anything_else_is_a_type_error(thing: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_tasks(thing)
