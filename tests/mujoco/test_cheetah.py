"""Half-cheetahs as arrays: Gymnasium's, bit for bit."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rl2_mujoco")

import mujoco
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from rl2_mujoco.cheetah import CONTROL, CheetahDirection, CheetahVelocity

from rl2_sb3 import check_tasks, make_trials


@pytest.mark.parametrize("kind", [CheetahDirection, CheetahVelocity])
def test_contract(kind: type[CheetahDirection] | type[CheetahVelocity]) -> None:
    check_tasks(kind(horizon=5), n=8)


def test_each_moves_as_gymnasiums_does() -> None:
    tasks, rng = CheetahDirection(), np.random.default_rng(0)
    params = np.array([1.0, -1.0, 1.0])
    state, seen = tasks.reset(params, rng)
    robots = []
    for each in state.simulated:
        robot: Any = HalfCheetahEnv(ctrl_cost_weight=CONTROL)
        robot.reset(seed=0)
        mujoco.mj_resetData(robot.model, robot.data)  # as Gymnasium's reset begins
        robot.set_state(each[:9].copy(), each[9:18].copy())
        robots.append(robot)
    for _ in range(100):
        actions = rng.uniform(-1, 1, (3, 6)).astype(np.float32)
        state, seen, rewards, _ = tasks.step(params, state, actions, rng)
        for i, robot in enumerate(robots):
            observation, *_, info = robot.step(actions[i])
            assert np.array_equal(state.simulated[i, :18], robot.state_vector())
            assert np.array_equal(seen[i], observation.astype(np.float32))
            paid = params[i] * info["x_velocity"] + info["reward_ctrl"]
            assert rewards[i] == pytest.approx(paid, abs=1e-5)


def test_an_episode_begins_where_gymnasiums_does() -> None:
    """Within .1 of the first pose, in all positions, and with velocities of .1 on average."""
    tasks, rng = CheetahVelocity(), np.random.default_rng(0)
    state, _ = tasks.reset(tasks.sample(500, rng), rng)
    robot = HalfCheetahEnv()
    positions = state.simulated[:, :9] - robot.init_qpos
    assert 0.099 < np.abs(positions).max() <= 0.1
    assert state.simulated[:, 9:18].std() == pytest.approx(0.1, rel=0.05)


def test_who_stands_still_is_paid_minus_the_velocity_asked_for() -> None:
    tasks = CheetahVelocity()
    assert tasks.pay(np.array([0.5, 3.0]), np.array([2.0, 2.0])).tolist() == [-1.5, -1.0]


def test_tasks_are_those_of_the_literature() -> None:
    rng = np.random.default_rng(0)
    directions, velocities = (
        kind().sample(1000, rng) for kind in (CheetahDirection, CheetahVelocity)
    )
    assert set(directions.tolist()) == {-1.0, 1.0}
    assert velocities.min() >= 0
    assert 2.9 < velocities.max() <= 3


def test_episodes_end_at_the_horizon() -> None:
    trials = make_trials("cheetah-direction", 2, episodes=2, seed=0, horizon=3)
    trials.reset()
    dones = [trials.step(np.zeros((2, 6)))[2].tolist() for _ in range(6)]
    assert dones == [[False] * 2] * 5 + [[True] * 2]


def test_no_episode_is_empty() -> None:
    with pytest.raises(ValueError, match="horizon=0"):
        CheetahDirection(horizon=0)
