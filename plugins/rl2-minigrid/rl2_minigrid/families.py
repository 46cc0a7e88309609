"""MiniGrid's families of levels by name, and four rooms of other sizes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import minigrid  # registers its environments
from minigrid.core.mission import MissionSpace
from minigrid.envs.fourrooms import FourRoomsEnv
from minigrid.minigrid_env import MiniGridEnv

from rl2_sb3.registry import did_you_mean

assert minigrid
PREFIX, VERSION = "MiniGrid-", "-v0"
WITHOUT_FILES = "WFC-"
"""Families whose patterns MiniGrid's wheel does not have."""
ROOMS = {f"FourRooms-{size}x{size}": size for size in (9, 11, 13, 15)}
"""Four rooms that MiniGrid, whose own is 19x19, does not have."""


class SizedFourRooms(FourRoomsEnv):
    """MiniGrid's four rooms in a grid of another size, walls included.

    :param options: of MiniGridEnv
    """

    def __init__(self, size: int, max_steps: int = 100, **options: Any):
        self._agent_default_pos = self._goal_default_pos = None
        self.size = size
        MiniGridEnv.__init__(
            self,
            mission_space=MissionSpace(mission_func=self._gen_mission),
            grid_size=size,
            max_steps=max_steps,
            **options,
        )


def families() -> list[str]:
    """Their names: MiniGrid's ids between ``MiniGrid-`` and ``-v0``, and :data:`ROOMS`.

    Where MiniGrid has a version 1, it is named with it, as ``MultiRoom-N4-S5-v1``.
    """
    ids = [name.removeprefix(PREFIX) for name in gym.registry if name.startswith(PREFIX)]
    names = [name.removesuffix(VERSION) for name in ids if not name.startswith(WITHOUT_FILES)]
    return sorted([*names, *ROOMS])


def make_family(name: str, **options: Any) -> MiniGridEnv:
    """An environment whose reset draws a level of the family.

    :param options: of MiniGridEnv
    :raises ValueError: no such family
    """
    if name in ROOMS:
        return SizedFourRooms(ROOMS[name], **options)
    if name not in families():
        raise ValueError(
            f"family={name!r} is none of MiniGrid's.{did_you_mean(name, families())} There are: "
            f"{', '.join(families())}."
        )
    full = f"{PREFIX}{name}"
    env: Any = gym.make(full if full in gym.registry else full + VERSION, **options)
    inner: MiniGridEnv = env.unwrapped  # its wrappers check what this plugin's tests have checked
    return inner
