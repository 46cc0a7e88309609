"""Pictures without a display, and the way out where there are none."""

from typing import Any

import gymnasium as gym
import pytest

pytest.importorskip("rl2_mujoco")

from rl2_mujoco.pictures import draw


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
