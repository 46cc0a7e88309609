"""Trials of arrays as a VecEnv of SB3: its methods, its wrappers and its evaluation."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize, VecTransposeImage

from rl2_sb3.tasks import BernoulliBandit
from rl2_sb3.trials.infos import TrialInfos
from tests.envs import RaggedTasks
from tests.trials.test_batched import Levers, Rng, make


def test_vec_env_s_other_methods() -> None:
    trials = make(Levers(), n_envs=3, episodes=2)

    assert trials.get_attr("episodes") == [2, 2, 2]
    assert trials.get_attr("episodes", [0, 2]) == [2, 2]
    assert trials.get_attr("episodes", 1) == [2]
    assert not trials.has_attr("colour")
    trials.set_attr("colour", "red")
    assert trials.get_attr("colour") == ["red"] * 3
    assert trials.env_is_wrapped(VecNormalize) == [False] * 3
    assert trials.unwrapped is trials
    trials.close()


def test_infos_are_made_when_looked_at_and_kept() -> None:
    terminal = {"action": np.array([4, 5, 6])}
    infos = TrialInfos(3, np.array([False, True, True]), terminal)

    assert not infos._made
    assert infos[0] == {}
    assert infos[1] == {"terminal_observation": {"action": 5}, "TimeLimit.truncated": False}
    assert list(infos._made) == [0, 1]
    assert infos[-1]["terminal_observation"] == {"action": 6}
    assert infos[-1] is infos[2]
    assert [info is infos[i] for i, info in enumerate(infos)] == [True] * 3
    assert infos[1:] == [infos[1], infos[2]]
    assert infos[::-2] == [infos[2], infos[0]]
    assert len(infos) == 3
    for index in (3, -4):
        with pytest.raises(IndexError):
            infos[index]
    infos[0]["note"] = 1  # as SB3's wrappers do
    assert infos[0] == {"note": 1}
    assert list(TrialInfos(2, np.zeros(2, bool), None)) == [{}, {}]


class Pictures(BernoulliBandit):
    """A bandit that shows a picture."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.observation_space = spaces.Box(0, 255, (20, 24, 3), np.uint8)

    def reset(self, params: Any, rng: Rng) -> Any:
        return None, self.picture(len(params))

    def step(self, params: Any, state: None, action: Any, rng: Rng) -> Any:
        _, _, reward, ended = super().step(params, state, action, rng)
        return None, self.picture(len(params)), reward, ended

    def picture(self, n: int) -> NDArray[np.uint8]:
        return np.full((n, 20, 24, 3), [1, 2, 3], np.uint8)


def test_vec_transpose_image() -> None:
    trials: Any = VecTransposeImage(make(Pictures(2), n_envs=2, episodes=1))
    assert trials.observation_space["observation"].shape == (3, 20, 24)
    trials.reset()
    obs, _, _, infos = trials.step(np.zeros(2))
    assert isinstance(obs, dict)
    assert obs["observation"].shape == (2, 3, 20, 24)
    assert infos[1]["terminal_observation"]["observation"].shape == (3, 20, 24)


def test_vec_normalize() -> None:
    keys = ["observation_place", "reward"]
    trials: Any = VecNormalize(make(RaggedTasks(), 4, 1, seed=0), norm_obs_keys=keys)
    plain = make(RaggedTasks(), 4, 1, seed=0)
    trials.reset(), plain.reset()
    for action in np.random.default_rng(0).integers(0, 3, (10, 4)):
        obs, _, _, infos = trials.step(action)
        expected, _, done, expected_infos = plain.step(action)
        np.testing.assert_array_equal(obs["start"], expected["start"])
        np.testing.assert_equal(trials.get_original_obs(), expected)
        for column in np.flatnonzero(done):
            terminal = expected_infos[column]["terminal_observation"]
            np.testing.assert_equal(
                infos[column]["terminal_observation"], trials.normalize_obs(terminal)
            )
    assert done.any()


def test_vec_monitor_reports_trials() -> None:
    trials: Any = VecMonitor(make(Levers(), n_envs=2, episodes=3))
    trials.reset()
    for _ in range(3):
        infos = trials.step(np.array([2, 1]))[3]
    assert [(info["episode"]["r"], info["episode"]["l"]) for info in infos] == [(9, 3), (0, 3)]
    assert "terminal_observation" in infos[0]


class WinStay:
    """Arm 0 until it has seen what it paid; counts its calls in the state."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: Any = 0
    ) -> Any:
        return np.where(observation["reward"][:, 0] == 1, 2, 0), state


def test_evaluate_policy_gives_returns_of_trials() -> None:
    trials = make(Levers(), n_envs=2, episodes=3)
    results: Any = evaluate_policy(
        WinStay(), trials, n_eval_episodes=4, return_episode_rewards=True, warn=False
    )
    returns, lengths = results
    # On even columns: arm 0 pays 1, arm 2 then pays 3, which is not 1: arm 0 again.
    assert sorted(returns) == [0, 0, 5, 5]
    assert lengths == [3, 3, 3, 3]
