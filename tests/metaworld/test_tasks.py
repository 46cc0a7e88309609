"""Meta-World's splits, its tasks, and what counts as success."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rl2_metaworld")

import metaworld
from metaworld.policies import SawyerReachV3Policy
from rl2_metaworld.env import GOALS, GOALS_SEED, ArmEnv, Task
from rl2_metaworld.tasks import ML1, ML10, ML45

from rl2_sb3 import check_tasks, evaluate_trials


def test_contract() -> None:
    check_tasks(ML1(horizon=5), n=8)


def test_splits_are_metaworlds() -> None:
    ten, five = set(ML10().families()), set(ML10(split="test").families())
    assert (len(ten), len(five)) == (10, 5)
    assert not ten & five
    many, held = set(ML45().families()), set(ML45().held_out().families())
    assert (len(many), len(held)) == (45, 5)
    assert not many & held
    assert len(ML45(split="test").all_tasks()) == 250
    assert ML1().held_out() == ML1(split="test")


def test_the_goals_are_the_benchmarks() -> None:
    env = ML1(split="test").make_env()
    make: Any = metaworld.ML1
    benchmark = make("reach-v3", seed=GOALS_SEED)
    arm = benchmark.test_classes["reach-v3"]()
    for goal in (3, 40):
        arm.set_task(benchmark.test_tasks[goal])
        expected, _ = arm.reset()
        seen, _ = env.reset(options={"task": Task("reach-v3", "test", goal)})
        np.testing.assert_allclose(seen, expected)
        action = np.full(4, 0.5, np.float32)
        for _ in range(5):
            there, here = arm.step(action), env.step(action)
            assert np.array_equal(there[0], here[0])
            assert there[1] == here[1]


def test_one_environment_takes_tasks_of_any_family() -> None:
    env = ML10().make_env()
    seen: list[Any] = []
    for family in ("drawer-close-v3", "reach-v3", "drawer-close-v3"):
        seen.append(env.reset(options={"task": Task(family, "train", 0)})[0])
        assert env.observation_space.contains(seen[-1])
    assert np.array_equal(seen[0], seen[2])
    assert not np.array_equal(seen[0], seen[1])


class Scripted:
    """Meta-World's own policy for reach-v3, which is told the goal, and then lets go of it."""

    def __init__(self, env: ArmEnv):
        self.env, self.policy = env, SawyerReachV3Policy()

    def act(self, observation: Any) -> Any:
        told = observation.copy()
        told[36:] = self.env._arms["reach-v3"]._target_pos
        return np.clip(self.policy.get_action(told), -1, 1).astype(np.float32)


def test_any_step_counts_for_success() -> None:
    env = ML1(horizon=120).make_env()
    observation, _ = env.reset(options={"task": Task("reach-v3", "train", 0)})
    scripted, reached, over = Scripted(env), False, False
    info: dict[str, Any] = {}
    while not over:
        action = -np.ones(4, np.float32) if reached else scripted.act(observation)
        observation, _, terminated, over, info = env.step(action)
        reached = reached or bool(info["success"])
        assert not terminated
        assert ("rl2" in info) == over
    assert not info["success"]  # it went away from the goal
    assert info["rl2"] == {"success": True}


def test_evaluation_goes_through_the_list() -> None:
    class Still:
        def predict(self, observation: Any, state: Any, *_: Any, **__: Any) -> Any:
            return np.zeros((len(observation["start"]), 4), np.float32), state

    played = evaluate_trials(Still(), ML1(horizon=2, split="test"), GOALS, episodes=2)  # type: ignore[arg-type]
    assert played.successes.shape == (GOALS, 2)
    assert played.successes.max() == 0


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("family", "reech-v3", "Did you mean 'reach-v3'"),
        ("split", "dev", "train or test"),
        ("horizon", 501, "1 to 500"),
        ("goals", 0, "at least 1"),
    ],
)
def test_options_out_of_range_are_refused(option: str, value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ML1(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("split", "goal"), [("train", -1), ("test", 50)])
def test_a_goal_that_there_is_not_is_refused(split: Any, goal: int) -> None:
    with pytest.raises(ValueError, match="from 0 on, and 50 are held out"):
        ML1().make_env().reset(options={"task": Task("reach-v3", split, goal)})


def test_more_goals_to_train_on_begin_with_the_benchmarks_and_leave_what_is_held_out() -> None:
    few, many = ML1(), ML1(goals=120)
    assert many.all_tasks()[:GOALS] == few.all_tasks()
    assert many.held_out().all_tasks() == few.held_out().all_tasks()
    env = many.make_env()
    seen = [env.reset(options={"task": task})[0] for task in many.all_tasks()]
    held = [env.reset(options={"task": task})[0] for task in many.held_out().all_tasks()]
    assert len({tuple(each) for each in (*seen, *held)}) == 120 + GOALS  # an object lies elsewhere
    rng = np.random.default_rng(0)
    assert 100 < max(many.sample(rng).goal for _ in range(200)) < 120
