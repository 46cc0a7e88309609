"""The guide through mazes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rl2_vizdoom")

from rl2_vizdoom.raycast import RaycastMaze
from rl2_vizdoom.teacher import Guide

from rl2_sb3 import BernoulliBandit, load_agent, make_trials
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.cli import main


def test_the_guide_finds_the_goal_in_few_steps() -> None:
    """Some 36 steps where a plan has 29 and random play fails in 72 of 100 episodes.

    A tenth of its actions are random, which frees it where it would turn to and fro.
    """
    trials = make_trials("raycast-maze", 64, 1, seed=0, privileged=True)
    teacher, rng, obs = Guide(), np.random.default_rng(0), trials.reset()
    length, lengths = np.zeros(64), list[float]()
    for _ in range(250):
        actions, _ = teacher.predict(obs)
        actions = np.where(rng.random(64) < 0.1, rng.integers(3, size=64), actions)
        obs, _, done, _ = trials.step(actions)
        length += 1
        lengths += length[done].tolist()
        length[done] = 0
    assert np.mean(lengths) == pytest.approx(36, abs=3)
    assert max(lengths) < 250


def test_by_hand() -> None:
    left, right, ahead = [0.7, 0.7], [0.7, -0.7], [0.99, 0.1]
    told = np.array([[1, *way, 0, 0, 0, 0] for way in (left, right, ahead)])
    chances, state = Guide().action_probabilities({"privileged": told}, "kept")
    np.testing.assert_array_equal(chances, np.eye(3))
    assert state == "kept"
    wide, _ = Guide(width=50).predict({"privileged": told})
    np.testing.assert_array_equal(wide, [2, 2, 2])


def test_where_it_cannot_play() -> None:
    with pytest.raises(ValueError, match="in mazes alone, not in BernoulliBandit"):
        make_baseline("guide", BernoulliBandit(), 2)
    with pytest.raises(ValueError, match="no parameter 'breadth'"):
        make_baseline("guide(breadth=1)", RaycastMaze(mazes=2), 2)
    with pytest.raises(ValueError, match="no parameter 'seed'"):
        make_baseline("guide(seed=1)", RaycastMaze(mazes=2), 2)
    with pytest.raises(ValueError, match="width=180: use degrees above 0 and below 180"):
        make_baseline("guide(width=180)", RaycastMaze(mazes=2), 2)
    with pytest.raises(ValueError, match="privileged observation alone"):
        Guide().predict(make_trials("raycast-maze", 2, mazes=2).reset())


def test_imitated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    common: list[Any] = ["imitate", "raycast-maze", "--teacher", "guide", "--episodes", "2"]
    common += ["--mazes", "4", "--limit", "20", "--hidden-size", "8", "--no-progress"]
    common += ["--student-share", "1", "--trials-per-batch", "4", "--batches", "2"]
    with pytest.raises(SystemExit, match="add --privileged"):
        main([*common, "--n-steps", "40"])
    with pytest.raises(SystemExit, match="differ in length"):
        main([*common, "--privileged"])
    assert not Path("runs").exists()
    main([*common, "--n-steps", "40", "--privileged", "--prediction-coef", "0.5", "--shared"])
    info = load_agent("runs/imitation").info
    assert (info["teacher"], info["privileged"], info["steps"]) == ("guide", True, 320)
