"""Habits of SB3's users: callbacks, and who else steps the training environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from rl2_sb3 import RL2PPO, make_trials
from tests.envs import RaggedEnv
from tests.test_habits_evaluation import EPISODES, TRIAL, Paid, Plain, small, trial


class Starts(BaseCallback):
    """Notes whether the first step of a training is a trial's first."""

    first: Any = None

    def _on_training_start(self) -> None:
        assert isinstance(self.model._last_obs, dict)
        self.first = self.model._last_obs["start"][:, 0].tolist()

    def _on_step(self) -> bool:
        return True


@pytest.mark.parametrize("kind", ["in-process", "arrays", "subprocess"])
def test_evaluate_policy_on_the_training_environment_between_trainings(kind: str) -> None:
    env: VecEnv
    if kind == "arrays":
        env = make_trials("bandit", 2, 12, seed=0)
    else:
        env = make_trials(RaggedEnv, 2, EPISODES, seed=0, workers=kind)  # type: ignore[arg-type]
    model, starts = small(env), Starts()
    model.learn(2 * 8)
    model.learn(2 * 8, starts, reset_num_timesteps=False)
    assert starts.first != [True, True]  # it goes on in the trials where it stood
    steps = model.num_timesteps

    training_env = model.get_env()
    assert training_env is not None
    evaluate_policy(model, training_env, 2, warn=False)
    model.learn(2 * 8, starts, reset_num_timesteps=False)
    assert starts.first == [True, True]  # the trials are others now
    assert model.num_timesteps == steps + 2 * 8

    training_env.reset()
    model.learn(2 * 8, starts, reset_num_timesteps=False)
    assert starts.first == [True, True]
    training_env.close()


class Meddler(BaseCallback):
    """Plays in the training environment in the middle of a rollout."""

    def __init__(self, meddle: Callable[[VecEnv], Any]):
        super().__init__()
        self.meddle = meddle

    def _on_step(self) -> bool:
        if self.n_calls == 3:
            self.meddle(self.training_env)
        return True


MEDDLING: dict[str, Callable[[VecEnv], Any]] = {
    "a step": lambda env: env.step(np.zeros(env.num_envs, np.int64)),
    "a reset": lambda env: env.reset(),
    "a trial": lambda env: [env.step(np.zeros(env.num_envs, np.int64)) for _ in range(TRIAL)],
    "a trial and more": lambda env: [
        env.step(np.zeros(env.num_envs, np.int64)) for _ in range(TRIAL + 5)
    ],
}


@pytest.mark.parametrize("what", MEDDLING)
@pytest.mark.parametrize("arrays", [False, True])
def test_stepping_the_training_environment_in_a_rollout_is_refused(what: str, arrays: bool) -> None:
    env = make_trials("bandit", 2, TRIAL) if arrays else DummyVecEnv([trial, trial])
    with pytest.raises(RuntimeError, match=r"else steps|else stepped .* of its own"):
        small(env, n_steps=32).learn(100, Meddler(MEDDLING[what]))


@pytest.mark.parametrize("shared", ["the vector", "a vector of the same", "the environment"])
def test_an_eval_callback_on_the_training_environment_is_refused_before_training(
    shared: str,
) -> None:
    plain = Paid()
    model = small(plain, episodes=EPISODES)
    env = model.get_env()
    assert env is not None
    other: Any = {
        "the vector": env,
        "a vector of the same": VecMonitor(env),
        "the environment": plain,
    }[shared]
    with pytest.raises(ValueError, match=r"EvalCallback would step the training .* its own"):
        model.learn(100, CallbackList([EveryNTimesteps(8, EvalCallback(other, warn=False))]))
    assert model.num_timesteps == 0


@pytest.mark.filterwarnings("error:Evaluation environment is not wrapped with a")
@pytest.mark.parametrize(
    "make",
    [
        Paid,
        trial,
        lambda: Monitor(Paid()),
        lambda: make_vec_env(Paid, 2, wrapper_class=Plain),
        lambda: make_trials(Paid, 2, EPISODES),
    ],
)
def test_eval_callback(make: Callable[[], Any], tmp_path: Path) -> None:
    model = small(trial())
    stop = StopTrainingOnRewardThreshold(11.5)  # a trial is worth 12, an episode 4
    evaluation = EvalCallback(
        make(),
        callback_on_new_best=stop,
        n_eval_episodes=2,
        eval_freq=10,
        best_model_save_path=str(tmp_path),
        log_path=str(tmp_path),
        verbose=0,
    )
    model.learn(1000, evaluation)
    assert evaluation.best_mean_reward == 12.0
    assert model.num_timesteps == 10
    assert RL2PPO.load(tmp_path / "best_model").episodes == EPISODES


def test_stop_training_callbacks() -> None:
    model = small(trial())
    model.learn(1000, StopTrainingOnMaxEpisodes(2))
    assert model.num_timesteps == 2 * TRIAL  # an episode is a trial

    stop = StopTrainingOnNoModelImprovement(max_no_improvement_evals=1)
    evaluation = EvalCallback(
        trial(), callback_after_eval=stop, n_eval_episodes=1, eval_freq=10, verbose=0, warn=False
    )
    model.learn(1000, evaluation)
    assert model.num_timesteps == 30  # the first is the best, the third is the second no better


def test_checkpoint_callback(tmp_path: Path) -> None:
    model = small(trial())
    model.learn(16, CheckpointCallback(8, str(tmp_path)))
    assert {path.name for path in tmp_path.iterdir()} == {
        "rl_model_8_steps.zip",
        "rl_model_16_steps.zip",
    }
    starts, resumed = [], []
    for _ in range(2):
        again = RL2PPO.load(tmp_path / "rl_model_16_steps", trial(), force_reset=False)
        again.learn(16, first := Starts(), reset_num_timesteps=False)
        assert again.num_timesteps == 32
        starts += first.first
        resumed.append(again.policy.state_dict())
    assert starts == [False, False]  # in the trial of before, whose fourth step was the last
    assert all(th.equal(part, resumed[1][key]) for key, part in resumed[0].items())


def test_every_n_timesteps_in_a_list() -> None:
    class Notes(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[int] = []

        def _on_step(self) -> bool:
            self.seen.append(self.num_timesteps)
            return True

    notes, each = Notes(), Notes()
    small(trial()).learn(32, CallbackList([EveryNTimesteps(10, notes), each]))
    assert notes.seen == [10, 20, 30]
    assert each.seen == [*range(1, 33)]


def test_functions_are_callbacks() -> None:
    seen: list[int] = []

    def note(local: dict[str, Any], _: Any) -> bool:
        seen.append(len(local["infos"]))
        return len(seen) < 8

    assert small(trial()).learn(800, note).num_timesteps == 8
    assert seen == [1] * 8
