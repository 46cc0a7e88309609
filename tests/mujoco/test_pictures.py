"""Pictures without a display, and the way out where there are none."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("rl2_mujoco")

from rl2_mujoco.cheetah import CheetahDirection
from rl2_mujoco.pictures import draw
from rl2_mujoco.point import GREEN

from rl2_sb3.cli import main


class Blind(gym.Env[Any, Any]):
    def render(self) -> Any:
        raise ImportError("no libEGL")


def test_a_machine_that_cannot_draw_is_told_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("MUJOCO_GL", "")
    with pytest.raises(RuntimeError, match=r"'egl'.*no libEGL.*apt-get install libegl1"):
        draw(Blind())


def test_what_was_chosen_to_draw_with_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(RuntimeError, match="MUJOCO_GL='osmesa'"):
        draw(Blind())


def test_the_point_is_watched_without_a_display(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    main(["watch", "point-goal-n2", "--out", str(tmp_path / "point.gif")])
    with Image.open(tmp_path / "point.gif") as film:
        assert film.n_frames == 122  # type: ignore[attr-defined]
        picture = np.asarray(film.convert("RGB"))
    assert (picture == GREEN).all(-1).any()


def test_the_camera_goes_along_with_the_cheetah(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    tasks, rng = CheetahDirection(), np.random.default_rng(0)
    params = tasks.sample(1, rng)
    here, _ = tasks.reset(params, rng)
    there = here._replace(simulated=here.simulated.copy())
    there.simulated[:, 0] += 16  # along the track, by whole squares of its pattern
    try:
        pictures = [tasks.render(params, state).astype(float) for state in (here, there)]
    except RuntimeError as error:
        pytest.skip(str(error))
    assert np.ptp(pictures[0]) > 100
    assert np.abs(pictures[0] - pictures[1]).mean() < 1.5
