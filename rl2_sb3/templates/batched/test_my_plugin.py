"""The plugin's tests."""

import numpy as np
import pytest
from my_plugin import MyTasks

from rl2_sb3 import RL2PPO, check_tasks, make_trials


def test_contract() -> None:
    """Shapes, spaces, seeds, and no hidden state."""
    check_tasks(MyTasks())
    check_tasks(MyTasks(length=4))


def test_a_walk_to_the_right() -> None:
    """Of two corridors of five cells, the exit of the second is met after two steps."""
    tasks, rng = MyTasks(length=5), np.random.default_rng(0)
    exits = np.array([0, 4])
    state, place = tasks.reset(exits, rng)
    assert place.tolist() == [2, 2]
    for expected, ends in (([-0.1, -0.1], [False, False]), ([-0.1, 0.9], [False, True])):
        state, place, reward, ended = tasks.step(exits, state, np.array([1, 1]), rng)
        assert reward.tolist() == pytest.approx(expected)
        assert ended.tolist() == ends
    assert place.tolist() == [4, 4]


def test_it_trains() -> None:
    """Two rollouts and their updates."""
    trials = make_trials(MyTasks(), 16, episodes=2, seed=0)
    model = RL2PPO("GRUPolicy", trials, n_steps=16, policy_kwargs={"hidden_size": 8}, seed=0)
    model.learn(2 * 16 * 16)
    assert model.num_timesteps == 2 * 16 * 16
