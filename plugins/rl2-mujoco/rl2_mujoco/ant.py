"""Ants: Gymnasium's robot, paid for what the task says.

Rewards are those of Finn et al. 2017, Rakelly et al. 2019 (PEARL) and Zintgraf et al. 2020
(VariBAD). A step of the ant's is nine times the work of a cheetah's, so these are environments
that can run in threads and in processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, pi, sin, sqrt
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from numpy.typing import NDArray

from rl2_mujoco.pictures import CAMERA, draw
from rl2_sb3 import GymTasks

Floats = NDArray[np.float64]
HORIZON = 200
CONTROL, GOAL_CONTROL = 0.5, 0.1
"""Costs of the squared actions' sum, where a direction and where a goal is the task."""
FARTHEST = 3.0
"""Largest distance of a goal."""
Directions = Literal["two", "all"]
Task = tuple[float, float]
"""A direction of length 1, or a place."""
Info = Mapping[str, Any]
Pay = Callable[[Task, Info], float]
"""The reward of a step in a task, by what Gymnasium's ``info`` says of the step."""


class PaidAnt(gym.Wrapper[Floats, Floats, Floats, Floats]):
    """An ant; the task, which decides the reward alone, comes with a reset.

    Without a task, the environment keeps the one that it has; it begins with (1, 0).

    :param pay: the reward
    :param horizon: steps of an episode, which is truncated then
    :param options: of Gymnasium's ant
    """

    def __init__(self, pay: Pay, horizon: int, **options: Any):
        options["include_cfrc_ext_in_observation"] = False
        super().__init__(AntEnv(render_mode="rgb_array", camera_name=CAMERA, **options))
        self.task: Task = (1.0, 0.0)
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
        return draw(self.env)


@dataclass
class _Ants(GymTasks):
    """What both distributions have: the length of an episode."""

    horizon: int = HORIZON
    """Steps of an episode, of .05 seconds each."""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon={self.horizon!r}: at least 1.")


@dataclass
class AntDirection(_Ants):
    """An ant that is to run in a direction of the plane.

    The reward is the velocity in that direction, plus 1 for each step that it is upright, less .5
    times the sum of the squared actions and the costs of contacts. An ant that falls over ends the
    episode. It observes its pose and velocities, and not where it is.
    """

    directions: Directions = "two"
    """Forward and backward, or all directions alike."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.directions not in get_args(Directions):
            raise ValueError(f"directions={self.directions!r}: use two or all.")

    def sample(self, rng: np.random.Generator) -> Task:
        """Draw a direction, a vector of length 1."""
        if self.directions == "two":
            return float(rng.choice((-1.0, 1.0))), 0.0
        angle = rng.uniform(0, 2 * pi)
        return cos(angle), sin(angle)

    def make_env(self) -> PaidAnt:
        """An ant that can take any of the tasks."""
        return PaidAnt(_along, self.horizon, ctrl_cost_weight=CONTROL)


@dataclass
class AntGoal(_Ants):
    """An ant that is to walk to a goal at most 3 away, which it does not observe.

    The reward is minus the distance in x, minus that in y, less .1 times the sum of the squared
    actions and the costs of contacts. Falling over ends nothing. It observes where it is, too.
    """

    def sample(self, rng: np.random.Generator) -> Task:
        """Draw a goal, uniform in the disc."""
        angle, distance = rng.uniform(0, 2 * pi), FARTHEST * sqrt(rng.uniform())
        return distance * cos(angle), distance * sin(angle)

    def make_env(self) -> PaidAnt:
        """An ant that can take any of the tasks."""
        return PaidAnt(
            _near,
            self.horizon,
            ctrl_cost_weight=GOAL_CONTROL,
            healthy_reward=0.0,
            terminate_when_unhealthy=False,
            exclude_current_positions_from_observation=False,
        )


def _along(task: Task, info: Info) -> float:
    return float(task[0] * info["x_velocity"] + task[1] * info["y_velocity"] + _own(info))


def _near(task: Task, info: Info) -> float:
    away = abs(info["x_position"] - task[0]) + abs(info["y_position"] - task[1])
    return float(-away + _own(info))


def _own(info: Info) -> float:
    """What the ant is paid in every task."""
    return float(info["reward_ctrl"] + info["reward_contact"] + info["reward_survive"])
