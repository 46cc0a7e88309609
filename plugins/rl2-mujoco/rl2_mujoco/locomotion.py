"""Gymnasium's MuJoCo environments, paid for what the task says."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Task = tuple[float, ...]
"""A direction of unit length, a velocity, or a place."""
Pay = Callable[[Task, Mapping[str, Any]], float]
"""The reward of a step in a task, by what the environment's ``info`` says of the step."""


class Locomotion(gym.Wrapper[Floats, Floats, Floats, Floats]):
    """A robot of Gymnasium's; the task, which decides the reward alone, comes with a reset.

    Without a task, the environment keeps the one that it has; it begins with the ``first``.

    :param env: the robot's environment, whose ``info`` tells its velocity and the parts of the
        reward that it computes itself
    :param pay: the reward
    :param horizon: steps of an episode, which is truncated then
    :param first: the task before any other was given
    """

    def __init__(self, env: gym.Env[Floats, Floats], pay: Pay, horizon: int, first: Task):
        super().__init__(env)
        self.task = first
        self._pay, self._horizon, self._steps = pay, horizon, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode near the robot's first pose."""
        self.task = (options or {}).get("task", self.task)
        self._steps = 0
        return self.env.reset(seed=seed)

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Advance by .05 seconds."""
        observation, _, terminated, _, info = self.env.step(action)
        self._steps += 1
        late = self._steps >= self._horizon
        return observation, self._pay(self.task, info), bool(terminated), late, info

    def render(self) -> Any:
        """A picture, drawn without a display.

        :raises RuntimeError: neither EGL nor OSMesa can draw here
        """
        if not os.environ.get("MUJOCO_GL") and not os.environ.get("DISPLAY"):
            os.environ["MUJOCO_GL"] = "egl"
        try:
            return self.env.render()
        except Exception as error:  # OpenGL's libraries raise what they like
            raise RuntimeError(
                f"MuJoCo cannot draw with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')!r} ({error}). "
                "Install EGL (Debian: apt-get install libegl1 libgl1-mesa-dri), or OSMesa "
                "(libosmesa6) and set MUJOCO_GL=osmesa. Only pictures need it, training does not."
            ) from error
