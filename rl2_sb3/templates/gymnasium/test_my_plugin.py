"""The plugin's tests."""

import pytest
from my_plugin import MyTasks

from rl2_sb3 import RL2PPO, check_tasks, make_trials


def test_contract() -> None:
    """Spaces, seeds, and that the task decides what happens."""
    check_tasks(MyTasks())
    check_tasks(MyTasks(length=4))


def test_a_walk_to_the_right() -> None:
    """The right exit of five cells is met after two steps, the left one is not."""
    env = MyTasks(length=5).make_env()
    for task, last, over in ((4, 0.9, True), (0, -0.1, False)):
        place, _ = env.reset(seed=0, options={"task": task})
        assert place == 2
        rewards = [env.step(1)[1]]
        place, reward, terminated, truncated, _ = env.step(1)
        assert [*rewards, reward] == pytest.approx([-0.1, last])
        assert (place, terminated, truncated) == (4, over, False)


def test_it_trains() -> None:
    """Two rollouts and their updates."""
    trials = make_trials(MyTasks(), 4, episodes=2, seed=0)
    model = RL2PPO("GRUPolicy", trials, n_steps=32, policy_kwargs={"hidden_size": 8}, seed=0)
    model.learn(2 * 4 * 32)
    assert model.num_timesteps == 2 * 4 * 32
