"""The point goal: what is paid, where, and the best that can be done."""

import numpy as np
import pytest

pytest.importorskip("rl2_mujoco")

from rl2_mujoco.point import PointGoal

from rl2_sb3 import check_tasks, evaluate_trials, make_trials

GOALS = np.array([[1.0, 0.0], [0.6, 0.8]])


def walk(tasks: PointGoal, actions: list[list[float]]) -> list[list[float]]:
    """Rewards of both goals, step by step, with the same actions."""
    rng = np.random.default_rng(0)
    state, _ = tasks.reset(GOALS, rng)
    rewards = []
    for action in actions:
        state, _, reward, _ = tasks.step(GOALS, state, np.array([action, action]), rng)
        rewards.append(reward.round(6).tolist())
    return rewards


@pytest.mark.parametrize("reward", ["sparse", "dense"])
@pytest.mark.parametrize("circle", ["half", "whole"])
def test_contract(reward: str, circle: str) -> None:
    check_tasks(PointGoal(reward=reward, circle=circle, horizon=7))  # type: ignore[arg-type]


def test_the_sparse_reward_is_paid_within_the_radius_alone() -> None:
    """At .8 the goal at 1 is .2 away; at 1.1, .1; the other goal is never within .2."""
    tasks = PointGoal(horizon=20)
    rewards = walk(tasks, [[1, 0]] * 11)
    assert [first for first, _ in rewards[:7]] == [0] * 7
    assert [first for first, _ in rewards[8:]] == [0.9, 1.0, 0.9]
    assert all(second == 0 for _, second in rewards)


def test_the_dense_reward_is_minus_the_distance() -> None:
    assert walk(PointGoal(reward="dense"), [[1, 0], [5, 0]]) == [
        [-0.9, round(-float(np.hypot(0.5, 0.8)), 6)],
        [-0.8, round(-float(np.hypot(0.4, 0.8)), 6)],
    ]


def test_the_optimum_goes_straight() -> None:
    """To (1, 0): .8 after eight steps is just out of .15, then .9, and 1 from the tenth on."""
    tasks = PointGoal(radius=0.15, horizon=12)
    np.testing.assert_allclose(tasks.optimal_return(GOALS)[0], 0.9 + 3)
    best = tasks.optimal_return(GOALS)
    for goal in (0, 1):
        plan = np.clip(GOALS[goal] - 0.1 * np.arange(12)[:, None], 0, 0.1) / 0.1
        paid = sum(rewards[goal] for rewards in walk(tasks, plan.tolist()))
        assert paid == pytest.approx(best[goal], abs=1e-4)


def test_goals_lie_on_the_circle_asked_for() -> None:
    rng = np.random.default_rng(0)
    half, whole = (each.sample(500, rng) for each in (PointGoal(), PointGoal(circle="whole")))
    for goals in (half, whole):
        np.testing.assert_allclose(np.linalg.norm(goals, axis=1), 1)
    assert half[:, 1].min() > 0 > whole[:, 1].min()


def test_the_picture_shows_the_goal_the_start_and_the_point() -> None:
    """The goal to the right of the middle, the point in it; ten steps further up it is there."""
    tasks, rng = PointGoal(), np.random.default_rng(0)
    state, _ = tasks.reset(GOALS[:1], rng)
    first = tasks.render(GOALS[:1], state)
    assert first[120, 120].tolist() == [0, 0, 0]
    assert first[120, 200].tolist() == [120, 200, 120]
    assert first[20, 120].tolist() == [255, 255, 255]
    for _ in range(10):
        state, *_ = tasks.step(GOALS[:1], state, np.array([[0.0, 1.0]]), rng)
    assert tasks.render(GOALS[:1], state)[40, 120].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("option", "value"), [("reward", "none"), ("circle", "third"), ("radius", 0), ("horizon", 0)]
)
def test_options_out_of_range_are_refused(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{option}={value!r}"):
        make_trials("point-goal", **{option: value})  # type: ignore[arg-type]


def test_the_agent_finds_the_goal_again() -> None:
    from rl2_sb3 import load_agent

    played = evaluate_trials(load_agent("point-goal-n2"), PointGoal(), 200, episodes=2)
    first, second = played.returns.mean(axis=0)
    assert second > first + 5
    assert second < PointGoal().optimal_return(GOALS)[0]
