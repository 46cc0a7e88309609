"""MuJoCo's pictures without a display."""

from __future__ import annotations

import atexit
import os
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

CAMERA = "track"
"""Of Gymnasium's robots: it goes along with them, which Gymnasium's default does not."""


def draw(robot: gym.Env[Any, Any]) -> NDArray[np.uint8]:
    """What a robot's camera sees, RGB, by EGL where there is no display and nobody chose otherwise.

    :raises RuntimeError: neither EGL nor OSMesa can draw here
    """
    if not os.environ.get("MUJOCO_GL") and not os.environ.get("DISPLAY"):
        os.environ["MUJOCO_GL"] = "egl"
    try:
        picture: Any = robot.render()
    except Exception as error:  # OpenGL's libraries raise what they like
        raise RuntimeError(
            f"MuJoCo cannot draw with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')!r} ({error!r}). "
            "Install EGL (Debian: apt-get install libegl1 libgl1-mesa-dri), or OSMesa (libosmesa6) "
            "and set MUJOCO_GL=osmesa. Only pictures need it, training does not."
        ) from error
    atexit.unregister(robot.close)
    atexit.register(robot.close)  # or EGL complains when the interpreter ends
    return np.array(picture, np.uint8)
