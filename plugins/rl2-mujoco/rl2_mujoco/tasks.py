"""The distributions over tasks of half-cheetahs and ants, as rl2-sb3 finds them by their names.

Rewards are those of Finn et al. 2017, Rakelly et al. 2019 (PEARL) and Zintgraf et al. 2020
(VariBAD), on Gymnasium's robots of version 5. Observations are the robot's pose and velocities;
where the ant is, it observes in :class:`AntGoal` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi, sin, sqrt
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np

from rl2_mujoco.locomotion import Locomotion, Task
from rl2_sb3 import GymTasks

HORIZON = 200
CHEETAH_CONTROL, ANT_CONTROL, ANT_GOAL_CONTROL = 0.05, 0.5, 0.1
"""Costs of the squared actions' sum."""
FASTEST, FARTHEST = 3.0, 3.0
"""Largest target velocity, and distance of an ant's goal."""
Directions = Literal["two", "all"]
Info = Mapping[str, Any]


@dataclass
class _Robots(GymTasks):
    """What all have: the length of an episode."""

    horizon: int = HORIZON
    """Steps of an episode, of .05 seconds each."""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon={self.horizon!r}: at least 1.")


@dataclass
class CheetahDirection(_Robots):
    """A half-cheetah that is to run forward or backward, with equal chances.

    The reward is the velocity in that direction, less .05 times the sum of the squared actions.
    """

    def sample(self, rng: np.random.Generator) -> Task:
        """Draw 1 or -1."""
        return (float(rng.choice((-1.0, 1.0))),)

    def make_env(self) -> Locomotion:
        """A half-cheetah that can take any of the tasks."""
        return Locomotion(_cheetah(), _along, self.horizon, (1.0,))


@dataclass
class CheetahVelocity(_Robots):
    """A half-cheetah that is to run forward as fast as the task says, from 0 to 3.

    The reward is minus the distance from that velocity, less .05 times the sum of the squared
    actions.
    """

    def sample(self, rng: np.random.Generator) -> Task:
        """Draw a velocity, uniform from 0 to 3."""
        return (float(rng.uniform(0, FASTEST)),)

    def make_env(self) -> Locomotion:
        """A half-cheetah that can take any of the tasks."""
        return Locomotion(_cheetah(), _as_fast_as, self.horizon, (FASTEST,))


@dataclass
class AntDirection(_Robots):
    """An ant that is to run in a direction of the plane.

    The reward is the velocity in that direction, plus 1 for each step that it is upright, less .5
    times the sum of the squared actions and the costs of contacts. An ant that falls over ends the
    episode.
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

    def make_env(self) -> Locomotion:
        """An ant that can take any of the tasks."""
        return Locomotion(_ant(ctrl_cost_weight=ANT_CONTROL), _towards, self.horizon, (1.0, 0.0))


@dataclass
class AntGoal(_Robots):
    """An ant that is to walk to a goal at most 3 away, which it does not observe.

    The reward is minus the distance in x, minus that in y, less .1 times the sum of the squared
    actions and the costs of contacts. Falling over ends nothing.
    """

    def sample(self, rng: np.random.Generator) -> Task:
        """Draw a goal, uniform in the disc."""
        angle, distance = rng.uniform(0, 2 * pi), FARTHEST * sqrt(rng.uniform())
        return distance * cos(angle), distance * sin(angle)

    def make_env(self) -> Locomotion:
        """An ant that can take any of the tasks."""
        ant = _ant(
            ctrl_cost_weight=ANT_GOAL_CONTROL,
            healthy_reward=0.0,
            terminate_when_unhealthy=False,
            exclude_current_positions_from_observation=False,
        )
        return Locomotion(ant, _near, self.horizon, (0.0, 0.0))


def _cheetah() -> gym.Env[Any, Any]:
    from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv  # and with it MuJoCo

    return HalfCheetahEnv(ctrl_cost_weight=CHEETAH_CONTROL, render_mode="rgb_array")


def _ant(**options: Any) -> gym.Env[Any, Any]:
    """Gymnasium's ant, without the contacts' forces in its observation."""
    from gymnasium.envs.mujoco.ant_v5 import AntEnv  # and with it MuJoCo

    return AntEnv(include_cfrc_ext_in_observation=False, render_mode="rgb_array", **options)


def _along(task: Task, info: Info) -> float:
    return float(task[0] * info["x_velocity"] + info["reward_ctrl"])


def _as_fast_as(task: Task, info: Info) -> float:
    return float(-abs(info["x_velocity"] - task[0]) + info["reward_ctrl"])


def _towards(task: Task, info: Info) -> float:
    along = task[0] * info["x_velocity"] + task[1] * info["y_velocity"]
    return float(along + _own(info))


def _near(task: Task, info: Info) -> float:
    away = abs(info["x_position"] - task[0]) + abs(info["y_position"] - task[1])
    return float(-away + _own(info))


def _own(info: Info) -> float:
    """What the ant is paid in every task."""
    return float(info["reward_ctrl"] + info["reward_contact"] + info["reward_survive"])
