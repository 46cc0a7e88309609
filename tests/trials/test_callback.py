"""The trial's book against one kept by hand."""

from collections import deque
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper

from rl2_sb3 import RL2PPO, GRUPolicy, TrialWrapper
from rl2_sb3.trials import make_trials
from tests.envs import FragileEnv, GoalTasks, SmallEnv

SMALL = {"hidden_size": 4}


class ScriptedEnv(SmallEnv):
    """Episodes with the given rewards, one after the other, whatever the actions are."""

    def __init__(self, *episodes: list[float]) -> None:
        super().__init__(spaces.Discrete(1), spaces.Discrete(2))
        self.episodes = deque(episodes)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.rewards = deque(self.episodes.popleft())
        return super().reset(seed=seed)

    def step(self, action: Any) -> Any:
        reward = self.rewards.popleft()
        over = not self.rewards
        return 0, reward, over, False, {"is_success": over and reward > 5}


class Logged(BaseCallback):
    """What was logged by each rollout's end."""

    def __init__(self) -> None:
        super().__init__()
        self.rollouts: list[dict[str, float]] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        values = self.logger.name_to_value
        self.rollouts.append({k: v for k, v in values.items() if k.startswith("trial/")})


def learn(trials: VecEnv, n_steps: int, rollouts: int, **options: Any) -> tuple[RL2PPO, Any]:
    logged = Logged()
    model = RL2PPO("GRUPolicy", trials, n_steps=n_steps, policy_kwargs=SMALL, seed=0, **options)
    model.learn(rollouts * n_steps * trials.num_envs, logged)
    return model, logged.rollouts


def scripted(episodes: int, *columns: Any) -> DummyVecEnv:
    def make(column: Any) -> Any:
        return lambda: TrialWrapper(ScriptedEnv(*column), episodes)

    return DummyVecEnv([make(column) for column in columns])


def test_book_of_trials() -> None:
    # Two trials of three episodes, five and seven steps, and one of nine.
    first = [[1.0], [0, 2], [3, 6], [0, 4], [1, 1, 1], [10, -4], [0] * 20]
    second = [[5, 5], [1, 1, 1, 1, 2], [0, 7], [0] * 20]
    model, rollouts = learn(scripted(3, first, second), n_steps=6, rollouts=2)

    # In the first six steps only the first trial ends, with the returns 1, 2, 9; of its
    # three episodes, only the last is a success.
    assert rollouts[0] == {
        "trial/return": 12,
        "trial/length": 5,
        "trial/gain": 8,
        "trial/return_episode_1": 1,
        "trial/return_episode_2": 2,
        "trial/return_episode_3": 9,
        "trial/success": 1 / 3,
        "trial/replay_error": pytest.approx(0, abs=1e-5),
    }
    # Then those with 4, 3, 6 and with 10, 6, 7 end; of six episodes one is a success.
    assert rollouts[1] == {
        "trial/return": (13 + 23) / 2,
        "trial/length": (7 + 9) / 2,
        "trial/gain": (2 + -3) / 2,
        "trial/return_episode_1": 7,
        "trial/return_episode_2": 4.5,
        "trial/return_episode_3": 6.5,
        "trial/success": 1 / 6,
        "trial/replay_error": pytest.approx(0, abs=1e-5),
    }
    assert model.ep_info_buffer is not None
    assert [(info["r"], info["l"]) for info in model.ep_info_buffer] == [(12, 5), (23, 9), (13, 7)]


def test_trials_that_began_before_are_not_counted() -> None:
    column = [[1.0, 1], [2, 2], [3, 3], [4, 4], [0] * 20]
    model, rollouts = learn(scripted(2, column), n_steps=3, rollouts=1)
    assert rollouts[0].keys() == {"trial/replay_error"}  # no trial has ended

    logged = Logged()
    model.learn(5, logged, reset_num_timesteps=False)
    assert "trial/return" not in logged.rollouts[0]  # its first step was seen by another callback
    assert logged.rollouts[1]["trial/return"] == 14


def test_lost_trials_count_as_lost_alone() -> None:
    """Of two columns one dies in its eighth step, in its trial's second episode.

    Episodes have five steps, and all fail; the lost trial's first is told as a success.
    """

    def make(dies: int) -> Any:
        return lambda: TrialWrapper(Lucky(dies), 2, GoalTasks(), order=[9])

    class Lucky(FragileEnv):
        def step(self, action: Any) -> Any:
            *step, info = super().step(action)
            return (*step, {"rl2": {"success": True}} if self.steps == 5 and self.dies else info)

    trials = DummyVecEnv([make(8), make(0)])
    _, rollouts = learn(trials, n_steps=12, rollouts=1)
    assert rollouts[0]["trial/lost"] == 1
    assert rollouts[0]["trial/length"] == 10  # of the one that was not lost
    assert rollouts[0]["trial/success"] == 0
    _, (again,) = learn(make_trials(GoalTasks(), 2, episodes=1), n_steps=8, rollouts=1)
    assert "trial/lost" not in again


def test_book_of_arrays_has_no_successes() -> None:
    _, rollouts = learn(make_trials("bandit", 4, episodes=12, seed=0), n_steps=12, rollouts=1)
    positions = [name for name in rollouts[0] if name.startswith("trial/return_episode_")]

    assert positions == [f"trial/return_episode_{i:02}" for i in (1, 2, 3, 5, 6, 7, 8, 10, 11, 12)]
    assert rollouts[0]["trial/length"] == 12
    assert "trial/success" not in rollouts[0]


class StartBroken(VecEnvWrapper):
    """Says that every step is a trial's first."""

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        obs, reward, done, infos = self.venv.step_wait()
        assert isinstance(obs, dict)
        return {**obs, "start": np.ones_like(obs["start"])}, reward, done, infos


class EndsEarly(StartBroken):
    """Ends trials of its own accord."""

    def step_wait(self) -> Any:
        obs, reward, done, infos = self.venv.step_wait()
        return obs, reward, done | True, infos


@pytest.mark.parametrize("wrapper", [StartBroken, EndsEarly])
def test_wrapper_that_breaks_trials_is_found(wrapper: type[StartBroken]) -> None:
    trials = wrapper(make_trials("bandit", 4, episodes=3))
    with pytest.raises(RuntimeError, match="A trial's start must follow a trial's end, and noth"):
        learn(trials, n_steps=3, rollouts=1)


class Forgetful(GRUPolicy):
    """Resets its memory at each step of learning."""

    def evaluate(self, obs: Any) -> Any:
        return super().evaluate({**obs, "start": obs["start"] * 0 + 1})


class Clinging(GRUPolicy):
    """Keeps its memory from one trial to the next in learning."""

    def evaluate(self, obs: Any) -> Any:
        return super().evaluate({**obs, "start": obs["start"] * 0})


@pytest.mark.parametrize("policy", [Forgetful, Clinging])
def test_policy_that_learns_on_other_memory_is_found(policy: type[GRUPolicy]) -> None:
    trials = make_trials("bandit", 4, episodes=3, seed=0)
    model = RL2PPO(policy, trials, n_steps=9, policy_kwargs={"hidden_size": 32}, seed=0)
    with pytest.raises(RuntimeError, match=r"Replayed log-probabilities differ from collected on"):
        model.learn(1)
