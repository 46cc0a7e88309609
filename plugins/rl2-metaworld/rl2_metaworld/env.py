"""Meta-World's robot arm as one environment, whatever the family of the task."""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import metaworld
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Split = Literal["train", "test"]
GOALS = 50
"""Of each family and split, in Meta-World's benchmarks."""
GOALS_SEED = 0
"""Sets the goals, so that all agents are trained and evaluated on the same."""
CAMERA = "corner2"


class Task(NamedTuple):
    """A family of Meta-World's, and one of its goals."""

    family: str
    split: Split
    goal: int
    """From 0 on; goals to train on from 50 on are those of benchmarks with further seeds."""


@cache
def _family(name: str, seed: int) -> Any:
    """Meta-World's benchmark of one family, with its goals: a second's work, once in a process."""
    make: Any = metaworld.ML1
    return make(name, seed=seed)


class ArmEnv(gym.Env[Any, Any]):
    """The arm with the objects of the task's family; the goal is not observed.

    A family's simulator is made when its first task comes. Without a task, the environment keeps
    the one that it has; it begins with the ``first``. ``info`` is Meta-World's; with the episode's
    end, ``info["rl2"]["success"]`` is whether any of its steps succeeded, as the benchmarks count.

    :param first: the task before any other was given
    :param horizon: steps of an episode, which is truncated then
    """

    def __init__(self, first: Task, horizon: int):
        self.render_mode = "rgb_array"
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 80}
        self.task, self._horizon = first, horizon
        self._arms: dict[str, Any] = {}  # a SawyerXYZEnv of each family
        self._steps, self._success = 0, False
        arm = self._arm()
        self.observation_space: spaces.Box = arm.sawyer_observation_space
        self.action_space = arm.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode; the seed decides nothing, since the task's objects lie where it says.

        :raises ValueError: no task of Meta-World's
        """
        super().reset(seed=seed)
        self.task = Task(*(options or {}).get("task", self.task))
        if self.task.goal < 0 or (self.task.split == "test" and self.task.goal >= GOALS):
            raise ValueError(
                f"task={self.task}: goals are numbered from 0 on, and {GOALS} are held out."
            )
        self._steps, self._success = 0, False
        observation, info = self._arm().reset()
        return self._clip(observation), info

    def step(self, action: NDArray[np.float32]) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Advance by .0125 seconds."""
        observation, reward, _, _, info = self._arms[self.task.family].step(action)
        self._steps += 1
        self._success = self._success or bool(info["success"])
        late = self._steps >= self._horizon
        if late:
            info["rl2"] = {"success": self._success}
        return observation, float(reward), False, late, info

    def render(self) -> Any:
        """A picture, drawn without a display.

        :raises RuntimeError: neither EGL nor OSMesa can draw here
        """
        if not os.environ.get("MUJOCO_GL") and not os.environ.get("DISPLAY"):
            os.environ["MUJOCO_GL"] = "egl"
        try:
            picture: Any = self._arms[self.task.family].render()
        except Exception as error:  # OpenGL's libraries raise what they like
            raise RuntimeError(
                f"MuJoCo cannot draw with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')!r} ({error}). "
                "Install EGL (Debian: apt-get install libegl1 libgl1-mesa-dri), or OSMesa "
                "(libosmesa6) and set MUJOCO_GL=osmesa. Only pictures need it, training does not."
            ) from error
        return picture[::-1, ::-1].copy()  # the camera hangs upside down

    def close(self) -> None:
        """End the simulators."""
        for arm in self._arms.values():
            arm.close()
        self._arms.clear()

    def _arm(self) -> Any:
        """The simulator of the task's family, with the task's goal set."""
        family, split, goal = self.task
        further = goal // GOALS
        # What a benchmark holds out is what the one of the next seed trains on.
        benchmark = _family(family, GOALS_SEED + further + (further > 0))
        if family not in self._arms:
            kind = benchmark.train_classes[family]
            self._arms[family] = kind(render_mode=self.render_mode, camera_name=CAMERA)
        arm = self._arms[family]
        tasks = benchmark.train_tasks if split == "train" else benchmark.test_tasks
        arm.set_task(tasks[goal % GOALS])
        return arm

    def _clip(self, observation: Floats) -> Floats:
        """Meta-World clips the observations of steps, and not those of resets."""
        space = self.observation_space
        return np.clip(observation, space.low, space.high)
