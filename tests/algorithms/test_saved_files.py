"""Which saved files and environments are refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.trials import make_trials
from tests.algorithms.test_saving import bandits, make_model
from tests.envs import SmallEnv, vector


def truncated(path: Path) -> None:
    make_model(bandits()).save(path)
    path.write_bytes(path.read_bytes()[:-2000])


def flipped(path: Path) -> None:
    make_model(bandits()).save(path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("policy.pth").header_offset + 2000
    content[place] ^= 255
    path.write_bytes(content)


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def empty(path: Path) -> None:
    path.touch()


def another_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "nothing to load")


def plain_ppo(path: Path) -> None:
    PPO("MlpPolicy", SmallEnv(vector(2), spaces.Discrete(2)), n_steps=8, batch_size=8).save(path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (truncated, "damaged"),
        (flipped, "damaged"),
        (noise, "damaged"),
        (empty, "damaged"),
        (another_zip, "no trials"),
        (plain_ppo, "no trials"),
        (lambda path: make_model(bandits(), RL2TRPO).save(path), r"use RL2TRPO\.load"),
    ],
)
def test_other_files_are_refused(
    write: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.zip"
    write(path)

    with pytest.raises(ValueError, match=message) as raised:
        RL2PPO.load(path, bandits())
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (lambda: make_trials("bandit", 4, arms=6), "another environment.*spaces do not match"),
        (
            lambda: make_trials(lambda: SmallEnv(vector(3), spaces.Discrete(5)), 4),
            "another environment.*spaces do not match",
        ),
        (lambda: make_trials("bandit", 3), "n_envs=4, got 3"),
    ],
)
def test_other_environments_are_refused(
    env: Callable[[], VecEnv], message: str, tmp_path: Path
) -> None:
    make_model(bandits()).save(tmp_path / "model")

    with pytest.raises(ValueError, match=message):
        RL2PPO.load(tmp_path / "model", env(), force_reset=False)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RL2PPO.load(tmp_path / "model")
