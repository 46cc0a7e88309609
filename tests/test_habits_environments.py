"""Habits of SB3's users: environments in all the forms that they come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import FlattenObservation, FrameStackObservation, TimeLimit
from numpy.typing import NDArray
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from rl2_sb3 import RL2PPO, BatchedTasks, TrialWrapper, load_agent, make_trials
from rl2_sb3.trials.make import as_trials, env_episodes
from tests.envs import dict_env
from tests.test_habits_evaluation import EPISODES, Paid, Plain, small, trial


def check_trained(env: Any, n_envs: int, episodes: int = EPISODES, **options: Any) -> RL2PPO:
    model = small(env, **options)
    assert model.n_envs == n_envs
    assert model.env is not None
    assert env_episodes(model.env) == episodes
    model.learn(2 * 8 * n_envs)
    assert model.num_timesteps == 2 * 8 * n_envs
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_vec_env(Paid, 2),
        lambda: make_vec_env(Paid, 2, wrapper_class=Plain),
        lambda: make_vec_env(Paid, 2, wrapper_class=lambda env: TimeLimit(env, 3)),
        lambda: VecMonitor(make_vec_env(Paid, 2)),
    ],
)
def test_make_vec_env_of_plain_environments(make: Callable[[], Any]) -> None:
    check_trained(make(), 2, episodes=EPISODES)


@pytest.fixture(autouse=True)
def _episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain environments are wrapped into trials of three episodes."""
    monkeypatch.setattr("rl2_sb3.trials.make.EPISODES", EPISODES)


@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv])
def test_make_vec_env_of_trials(kind: type[DummyVecEnv] | type[SubprocVecEnv]) -> None:
    env = make_vec_env(Paid, 2, wrapper_class=trial, vec_env_cls=kind)
    check_trained(env, 2)
    env.close()


def test_subprocesses_of_plain_environments_are_refused() -> None:
    env = make_vec_env(Paid, 1, vec_env_cls=SubprocVecEnv)
    with pytest.raises(ValueError, match=r"make_trials\(..., workers='subprocess'\)"):
        RL2PPO("GRUPolicy", env)
    env.close()


@pytest.mark.parametrize("mode", [None, "sync", "async", "vector_entry_point"])
def test_gymnasium_vectors(mode: str | None) -> None:
    options: Any = {"vectorization_mode": mode, "sutton_barto_reward": True}
    env = gym.make_vec("CartPole-v1", 2, **options)
    model = check_trained(env, 2)
    assert model.env is not None
    assert isinstance(model.env.unwrapped, SubprocVecEnv) == (mode == "async")
    env.close()
    model.env.reset()
    paid = np.concatenate([model.env.step(np.zeros(2, np.int64))[1] for _ in range(30)])
    assert set(paid.tolist()) == {0.0, -1.0}  # the option was kept
    model.env.close()


def test_gymnasium_vectors_keep_wrappers_and_time_limits() -> None:
    env = gym.make_vec(
        "CartPole-v1",
        1,
        vectorization_mode="sync",
        wrappers=[lambda inner: TimeLimit(inner, 3)],
    )
    trials = as_trials(env, 2)
    trials.reset()
    ends = [trials.step(np.zeros(1, np.int64))[2][0] for _ in range(6)]
    assert ends == [False] * 5 + [True]

    limited = as_trials(gym.make_vec("CartPole-v1", 1, max_episode_steps=3), 2)
    limited.reset()
    assert [limited.step(np.zeros(1, np.int64))[2][0] for _ in range(6)] == ends


class OneArray(gym.vector.VectorEnv[Any, Any, Any]):
    """A vector that has no single environments."""

    def __init__(self) -> None:
        self.num_envs = 2
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}


@pytest.mark.parametrize(
    "make",
    [
        OneArray,
        lambda: gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec("CartPole-v1", 2)),
    ],
)
def test_gymnasium_vectors_that_cannot_be_taken_apart_are_refused(
    make: Callable[[], Any],
) -> None:
    with pytest.raises(ValueError, match=r"pass the environment's id, or rl2_sb3.make_trials\("):
        RL2PPO("GRUPolicy", make())


def test_module_and_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Callable[[str], None]
) -> None:
    code = "import gymnasium as g\ng.register('Mine-v0', 'tests.test_habits_evaluation:Paid')\n"
    (tmp_path / "my_games.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget("my_games")
    try:
        check_trained("my_games:Mine-v0", 8)
    finally:
        gym.registry.pop("Mine-v0", None)
    with pytest.raises(ValueError, match="No module named 'no_such_games'"):
        make_trials("no_such_games:Mine-v0")
    with pytest.raises(ValueError, match="'tests:Mine-v9' is neither"):
        make_trials("tests:Mine-v9")


class Pair(gym.Env[Any, Any]):
    """Observations of two parts, and the right action is the second."""

    observation_space = spaces.Tuple([spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(3)])
    action_space = spaces.Discrete(3)

    def _observe(self) -> Any:
        self.right = int(self.np_random.integers(3))
        return np.full(2, 0.5, np.float32), self.right

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.elapsed = 0
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        reward = float(action == self.right)
        self.elapsed += 1
        return self._observe(), reward, self.elapsed == 4, False, {}


def test_tuple_observations(tmp_path: Path) -> None:
    first, _ = TrialWrapper(Pair(), 2).reset(seed=0)
    assert first["observation_0"].tolist() == [0.5, 0.5]
    assert first["observation_1"] in (0, 1, 2)

    model = check_trained(Pair(), 1)
    model.save_agent(tmp_path / "agent.safetensors")
    agent, env = load_agent(tmp_path / "agent.safetensors"), Pair()
    agent.reset()
    observation, _ = env.reset(seed=1)
    for _ in range(4):
        action = agent.act(observation)
        observation, reward, over, _, _ = env.step(action)
        agent.observe(reward, over)
    assert over
    agent.reset(3)  # three trials at once: axis 0 is the trial
    assert agent.act((np.zeros((3, 2), np.float32), np.zeros(3, np.int64))).shape == (3,)


class PairTasks(BatchedTasks[Any, Any]):
    """The same as arrays."""

    observation_space, action_space, horizon = Pair.observation_space, Pair.action_space, 1

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        return rng.integers(3, size=n)

    def reset(self, params: Any, rng: np.random.Generator) -> Any:
        return params, (np.full((len(params), 2), 0.5, np.float32), params)

    def step(
        self, params: Any, state: Any, action: NDArray[Any], rng: np.random.Generator
    ) -> tuple[Any, Any, Any, Any]:
        reward = np.asarray(action == params, np.float64)
        return params, self.reset(params, rng)[1], reward, np.ones(len(params), bool)


def test_tuple_observations_of_arrays() -> None:
    trials = make_trials(PairTasks(), 4, 2, seed=0)
    first: Any = trials.reset()
    assert first["observation_0"].tolist() == [[0.5, 0.5]] * 4
    reward = trials.step(first["observation_1"])[1]
    assert reward.tolist() == [1.0] * 4


def test_blackjack() -> None:
    check_trained("Blackjack-v1", 8)


def test_frames_are_stacked_inside() -> None:
    check_trained(FrameStackObservation(Paid(), 2), 1)
    with pytest.raises(ValueError, match="FrameStackObservation in the place of VecFrameStack"):
        RL2PPO("GRUPolicy", VecFrameStack(make_vec_env(Paid, 2), 2))


def test_a_normalised_vector_of_plain_environments_is_refused() -> None:
    with pytest.raises(ValueError, match="A VecNormalize of plain environments cannot be wrapped"):
        RL2PPO("GRUPolicy", VecNormalize(make_vec_env(Paid, 2)))


CHANGED: dict[str, tuple[Callable[[], Any], str]] = {
    "an environment": (lambda: FlattenObservation(trial()), "FlattenObservation"),
    "in a vector": (lambda: DummyVecEnv([lambda: FlattenObservation(trial())]), "DummyVecEnv"),
    "in a monitor": (lambda: VecMonitor(DummyVecEnv([CHANGED["an environment"][0]])), "Dummy"),
    "a vector": (
        lambda: VecExtractDictObs(DummyVecEnv([trial]), "observation"),
        "VecExtractDictObs",
    ),
    "arrays": (lambda: VecExtractDictObs(make_trials("bandit", 2), "reward"), "VecExtractDictObs"),
    "subprocesses": (
        lambda: SubprocVecEnv([CHANGED["an environment"][0]]),
        "SubprocVecEnv",
    ),
    "a Gymnasium vector": (
        lambda: gym.vector.SyncVectorEnv([CHANGED["an environment"][0]]),
        "FlattenObservation",
    ),
}


@pytest.mark.parametrize("where", CHANGED)
def test_wrappers_that_change_trials_are_refused(where: str) -> None:
    make, name = CHANGED[where]
    env = make()
    with pytest.raises(ValueError, match=rf"{name}.* lies around trials and changes"):
        RL2PPO("GRUPolicy", env)
    env.close()


def test_trials_in_gymnasiums_vectors_are_taken_as_they_are() -> None:
    check_trained(gym.vector.SyncVectorEnv([trial, trial]), 2)


def test_dict_observations() -> None:
    check_trained(dict_env(), 1)
