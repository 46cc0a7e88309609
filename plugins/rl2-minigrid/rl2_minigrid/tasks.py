"""MiniGrid's levels as tasks, as rl2-sb3 finds them by their name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from rl2_minigrid.env import KNOWN, LevelEnv
from rl2_minigrid.families import make_family
from rl2_sb3 import GymTasks

Actions = Literal["all", "moves"]
Split = Literal["train", "test"]
LEVELS = 2**30
"""Of each split."""
TILE = 16
"""Pixels of a cell in pictures."""
MOVES, ALL = 3, 7


@dataclass
class MiniGrid(GymTasks):
    """Levels of one of MiniGrid's families; what differs from level to level is the family's."""

    family: str = "FourRooms-11x11"
    """A MiniGrid id without MiniGrid- and -v0, such as DoorKey-8x8, LavaCrossingS9N1, MultiRoom-N6
    or FourRooms; or four rooms of 9x9, 11x11, 13x13 or 15x15 cells."""
    actions: Actions = "moves"
    """moves: turn left, turn right, go forward; all: also pick up, drop, toggle and done, which
    doors, keys and boxes need."""
    view: int = 7
    """Cells a side of the square that the agent sees before it, odd, 3 or more."""
    mission: bool = False
    """Observe the mission's text, as a token for each word."""
    position: bool = False
    """Observe the agent's cell, its column and row, beside the compass."""
    horizon: int | None = None
    """Steps of an episode at most, by default the family's own. A level that is solved pays
    1 - .9 times the share of them that it took."""
    split: Split = "train"
    """The two draw levels from different seeds."""
    privileged_size: ClassVar[int] = KNOWN

    def __post_init__(self) -> None:
        for name, allowed in (("actions", get_args(Actions)), ("split", get_args(Split))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: use {' or '.join(allowed)}.")
        if self.view < 3 or self.view % 2 == 0:
            raise ValueError(f"view={self.view!r}: an odd number, 3 or more.")
        if self.horizon is not None and self.horizon < 1:
            raise ValueError(f"horizon={self.horizon!r}: at least 1.")
        self.make_env()  # refuses families that there are not

    def sample(self, rng: np.random.Generator) -> int:
        """Draw a level's number: the seed that MiniGrid draws it from."""
        return int(rng.integers(LEVELS)) + LEVELS * (self.split == "test")

    def held_out(self) -> MiniGrid:
        """The test split."""
        return replace(self, split="test")

    def make_env(self) -> LevelEnv:
        """An environment that can take any of the levels."""
        options: dict[str, Any] = {} if self.horizon is None else {"max_steps": self.horizon}
        env = make_family(
            self.family,
            agent_view_size=self.view,
            render_mode="rgb_array",
            tile_size=TILE,
            **options,
        )
        actions = ALL if self.actions == "all" else MOVES
        return LevelEnv(env, actions, self.mission, self.position)
