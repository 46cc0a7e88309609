"""Habits of SB3's users: saving and loading."""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.runs.keeping import Keeper
from tests.envs import RaggedEnv
from tests.test_habits_evaluation import Paid, small, trial


def same(ours: Any, theirs: Any) -> bool:
    pairs = zip(ours.policy.parameters(), theirs.policy.parameters(), strict=True)
    return all(th.equal(a, b) for a, b in pairs)


def test_loading_without_an_environment(tmp_path: Path) -> None:
    model = small(trial()).learn(8)
    model.save(tmp_path / "model")
    loaded = RL2PPO.load(tmp_path / "model")
    obs, _ = trial().reset(seed=0)
    assert loaded.predict(obs, deterministic=True)[0] == model.predict(obs, deterministic=True)[0]
    with pytest.raises(ValueError, match=r"no environment to learn in: call set_env\(env\) first"):
        loaded.learn(8)
    loaded.set_env(Paid())
    assert loaded.env is not None
    assert loaded.env.get_attr("episodes") == [3]
    loaded.learn(8, reset_num_timesteps=False)
    assert loaded.num_timesteps == 16


def test_set_env_begins_new_trials(tmp_path: Path) -> None:
    model = small(make_trials(RaggedEnv, 2, 3, seed=0)).learn(16)
    model.set_env(make_trials(RaggedEnv, 2, 3, seed=1))
    model.learn(16, reset_num_timesteps=False)
    assert model.rollout_buffer.observations["start"][0].tolist() == [[1], [1]]

    model.set_env(make_trials(RaggedEnv, 2, 3, seed=1))
    model.save(tmp_path / "model")  # whose new trials have not begun
    RL2PPO.load(tmp_path / "model", make_trials(RaggedEnv, 2, 3), force_reset=False).learn(16)


def test_custom_objects(tmp_path: Path) -> None:
    small(trial(), learning_rate=lambda left: 0.01 * left).learn(8).save(tmp_path / "model")
    changed = {"learning_rate": 0.5, "lr_schedule": lambda _: 0.5, "clip_range": lambda _: 0.125}
    loaded = RL2PPO.load(tmp_path / "model", trial(), custom_objects=changed)
    loaded.learn(8)
    assert loaded.policy.optimizer.param_groups[0]["lr"] == 0.5
    assert loaded.logger.name_to_value["train/clip_range"] == 0.125


class Mine(RL2PPO):
    """A subclass with options of its own."""

    def __init__(self, policy: Any, env: Any, bonus: float = 1.0, **options: Any):
        super().__init__(policy, env, **options)
        self.bonus = bonus


def test_subclasses_with_options_of_their_own(tmp_path: Path) -> None:
    model = Mine("GRUPolicy", trial(), bonus=2.0, n_steps=8, gamma=0.5).learn(8)
    model.save(tmp_path / "model")
    loaded = Mine.load(tmp_path / "model")
    assert (loaded.bonus, loaded.gamma, loaded.n_steps) == (2.0, 0.5, 8)
    with pytest.raises(TypeError, match="Mine has no option 'gama'"):
        Mine("GRUPolicy", trial(), gama=0.5)


def test_get_and_set_parameters() -> None:
    ours, theirs = small(trial()).learn(8), small(trial(), seed=1)
    assert not same(ours, theirs)
    parameters = ours.get_parameters()
    assert set(parameters) == {"policy", "policy.optimizer"}
    theirs.set_parameters(parameters)  # type: ignore[arg-type]
    assert same(ours, theirs)
    assert th.equal(ours.policy.value_scale, theirs.policy.value_scale)


class Mortal(RaggedEnv):
    """An environment whose process dies at action 1, if it may."""

    deadly = False

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=seed)

    def die_from_now_on(self) -> None:
        self.deadly = True

    def step(self, action: Any) -> Any:
        if self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


def check_saved(model: Any, path: Path) -> None:
    """The model is saved and plays on, and says that it cannot go on exactly."""
    with pytest.warns(UserWarning, match=r"Saved without its trials.*force_reset=True"):
        model.save(path)
    loaded = type(model).load(path, make_trials(RaggedEnv, model.n_envs, 3))
    assert same(loaded, model)
    loaded.learn(16, reset_num_timesteps=False)
    with pytest.raises(ValueError, match=r"saved without its trials .* use force_reset=True"):
        type(model).load(path, make_trials(RaggedEnv, model.n_envs, 3), force_reset=False)


def test_saving_after_the_environment_was_closed(tmp_path: Path) -> None:
    env = make_trials(RaggedEnv, 2, 3, workers="subprocess")
    model = small(env).learn(16)
    env.close()
    check_saved(model, tmp_path / "model")


@pytest.mark.parametrize("workers", ["in-process", "threads"])
def test_saving_after_an_environment_in_this_process_was_closed(
    workers: Any, tmp_path: Path
) -> None:
    env = make_trials(RaggedEnv, 2, 3, workers=workers)
    model = small(env).learn(16)
    env.close()
    model.save(tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RL2PPO.load(tmp_path / "model", make_trials(RaggedEnv, 2, 3), force_reset=False)


@pytest.mark.parametrize("column", [0, 1])
def test_saving_after_a_worker_died(column: int, tmp_path: Path) -> None:
    env = make_trials(Mortal, 2, 3, workers="subprocess")
    model = small(env).learn(16)
    env.env_method("die_from_now_on", indices=[column])
    with pytest.raises((EOFError, OSError)):
        model.learn(16, reset_num_timesteps=False)
    check_saved(model, tmp_path / "model")
    good = (tmp_path / "model.zip").read_bytes()
    with pytest.raises((EOFError, OSError)):
        model.save(tmp_path / "model", exact=True)
    keeper = Keeper(model, tmp_path / "model.zip", 0)
    keeper._begin = 0
    with pytest.raises((EOFError, OSError)):  # nor does a run replace its last checkpoint
        keeper.on_rollout_start()
    assert (tmp_path / "model.zip").read_bytes() == good
    kill(env)


def kill(env: VecEnv) -> None:
    assert isinstance(env, SubprocVecEnv)
    for process in env.processes:
        process.kill()


def test_saving_in_the_middle_of_a_step(tmp_path: Path) -> None:
    env = make_trials(RaggedEnv, 2, 3, workers="subprocess")
    model = small(env).learn(16)
    env.step_async(np.zeros(2, np.int64))  # such as where an interrupt came
    check_saved(model, tmp_path / "model")
    env.step_wait()
    env.close()


def test_what_others_did_with_the_trials_is_not_saved(tmp_path: Path) -> None:
    model = small(make_trials(RaggedEnv, 2, 3, seed=0)).learn(16)
    assert model.env is not None
    model.env.step(np.zeros(2, np.int64))
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="was stepped by others"):
        RL2PPO.load(tmp_path / "model", make_trials(RaggedEnv, 2, 3), force_reset=False)
    RL2PPO.load(tmp_path / "model", make_trials(RaggedEnv, 2, 3)).learn(16)


def test_what_others_do_with_trials_that_were_taken_up_is_noticed(tmp_path: Path) -> None:
    small(make_trials(RaggedEnv, 2, 3, seed=0)).learn(16).save(tmp_path / "model")
    env = make_trials(RaggedEnv, 2, 3)
    model = RL2PPO.load(tmp_path / "model", env, force_reset=False)
    env.step(np.zeros(2, np.int64))
    model.learn(16, reset_num_timesteps=False)
    assert model.rollout_buffer.observations["start"][0].tolist() == [[1], [1]]


def test_registered_environments_are_closed_once() -> None:
    env = gym.make("CartPole-v1")
    model = small(env)
    assert model.env is not None
    model.env.close()
    model.env.close()


def test_rows_of_the_table_are_tests() -> None:
    table = Path(__file__).parents[1] / "docs" / "sb3-habits.md"
    lines = table.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[-2] for line in lines if line.startswith("| `") or "`test_" in line]
    tests = {
        line.split("(")[0].removeprefix("def ")
        for file in Path(__file__).parent.glob("test_habits_*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("def test_")
    }
    named = {name.strip("` ") for row in rows for name in row.split(",")}
    assert named <= tests
    assert len(rows) > 30
