"""Ants: what is paid for, and where the task comes from."""

from math import hypot
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rl2_mujoco")

from rl2_mujoco.ant import AntDirection, AntGoal

from rl2_sb3 import check_tasks


@pytest.mark.parametrize("tasks", [AntDirection(5), AntDirection(5, "all"), AntGoal(5)])
def test_contract(tasks: AntDirection | AntGoal) -> None:
    check_tasks(tasks, n=16)


def played(tasks: AntDirection | AntGoal, task: tuple[float, float]) -> list[Any]:
    env = tasks.make_env()
    env.reset(seed=0, options={"task": task})
    env.action_space.seed(0)
    return [env.step(env.action_space.sample()) for _ in range(10)]


def test_the_task_changes_what_is_paid_and_nothing_else() -> None:
    """Forward less backward is twice the velocity; sideways has the other one."""
    forward, backward, left = (played(AntDirection(), d) for d in ((1, 0), (-1, 0), (0, 1)))
    for ahead, back, aside in zip(forward, backward, left, strict=True):
        assert np.array_equal(ahead[0], back[0])
        info = ahead[4]
        assert ahead[1] - back[1] == pytest.approx(2 * info["x_velocity"])
        assert ahead[1] - aside[1] == pytest.approx(info["x_velocity"] - info["y_velocity"])


def test_a_goal_is_paid_by_both_distances() -> None:
    for _, reward, terminated, _, info in played(AntGoal(), (2.0, -1.0)):
        away = abs(info["x_position"] - 2) + abs(info["y_position"] + 1)
        assert reward == pytest.approx(-away + info["reward_ctrl"] + info["reward_contact"])
        assert info["reward_survive"] == 0
        assert not terminated


def test_where_the_ant_is_it_sees_in_goals_alone() -> None:
    (first, *_), *_ = played(AntGoal(), (0.0, 0.0))
    assert first.shape == (29,)
    (first, *_), *_ = played(AntDirection(), (1.0, 0.0))
    assert first.shape == (27,)


def test_tasks_are_those_of_the_literature() -> None:
    rng = np.random.default_rng(0)
    assert {AntDirection().sample(rng) for _ in range(50)} == {(1.0, 0.0), (-1.0, 0.0)}
    lengths = [hypot(*AntDirection(directions="all").sample(rng)) for _ in range(50)]
    assert lengths == pytest.approx([1] * 50)
    distances = np.array([hypot(*AntGoal().sample(rng)) for _ in range(2000)])
    assert distances.max() <= 3
    assert (distances < 1.5).mean() == pytest.approx(0.25, abs=0.03)  # uniform in the disc


def test_an_unknown_set_of_directions_is_refused() -> None:
    with pytest.raises(ValueError, match="directions='three'"):
        AntDirection(directions="three")  # type: ignore[arg-type]
