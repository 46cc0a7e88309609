"""Environments and wrappers that change the action that they are handed: the agent sees its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv

from rl2_sb3 import TrialWrapper, load_agent, make_trials
from tests.envs import multi_discrete_env
from tests.test_habits_environments import PairTasks
from tests.test_habits_evaluation import small


class Doubling(gym.Env[Any, Any]):
    """It changes the action that it is handed, and pays what it gets."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-9, 9, (1,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.total = np.zeros(1, np.float32)
        return self.total.copy(), {}

    def step(self, action: Any) -> Any:
        action *= 2
        self.total = self.total + action
        return self.total.copy(), float(action[0]), False, False, {}


def test_the_action_in_the_observation_is_the_agents() -> None:
    env, action = TrialWrapper(Doubling(), 2), np.array([0.5], np.float32)
    env.reset(seed=0)
    obs, reward, *_ = env.step(action)
    assert (obs["action"], reward) == (np.float32(0.5), 1.0)
    assert action == 0.5  # the caller's own is left alone


def test_a_trial_is_taken_up_with_the_agents_actions() -> None:
    env, again = TrialWrapper(Doubling(), 2), TrialWrapper(Doubling(), 2)
    env.reset(seed=0)
    for _ in range(2):
        obs = env.step(np.array([-0.5], np.float32))[0]
    again.set_state(env.get_state())
    assert obs["observation"] == -2
    assert again.step(np.array([0.5], np.float32))[0]["observation"] == -1


class Reversing(gym.ActionWrapper[Any, Any, Any]):
    """It turns the actions of the environment around, in place."""

    def action(self, action: Any) -> Any:
        action[:] = self.action_space.nvec - 1 - action  # type: ignore[attr-defined]
        return action


def test_learning_sees_the_actions_of_the_agent() -> None:
    model = small(DummyVecEnv([lambda: Reversing(multi_discrete_env())] * 2))
    model.learn(16)
    buffer = model.rollout_buffer
    told, whole = buffer.observations["action"], buffer.observations["start"][1:, :, 0] == 0
    np.testing.assert_array_equal(told[1:][whole], buffer.actions[:-1][whole])


class ReversingTasks(PairTasks):
    """Arrays that are changed in place."""

    def step(
        self, params: Any, state: Any, action: NDArray[Any], rng: np.random.Generator
    ) -> tuple[Any, Any, Any, Any]:
        action[:] = 2 - action
        return super().step(params, state, action, rng)


def test_the_action_in_the_observation_of_arrays_is_the_agents() -> None:
    trials, actions = make_trials(ReversingTasks(), 3, 2, seed=0), np.array([0, 1, 2])
    trials.reset()
    obs: Any = trials.step(actions)[0]
    assert obs["action"].tolist() == [0, 1, 2]
    assert actions.tolist() == [0, 1, 2]


def test_a_deployed_agent_remembers_its_own_action(tmp_path: Path) -> None:
    model = small(TrialWrapper(TimeLimit(Doubling(), 4), 2))
    model.save_agent(tmp_path / "agent.safetensors")
    agent = load_agent(tmp_path / "agent.safetensors")
    agent.reset()
    action = agent.act(np.zeros(1, np.float32))
    chosen = action.copy()
    action *= 2
    reward = np.array([1.0], np.float32)
    agent.observe(reward, False)
    reward[:] = 7
    assert agent._last["action"] == chosen
    assert agent._last["reward"] == 1
