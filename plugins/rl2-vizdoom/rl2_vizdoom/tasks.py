"""The distribution over mazes, as rl2-sb3 finds it by its name ``vizdoom-maze``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np

from rl2_sb3 import GymTasks
from rl2_vizdoom.field import TOLD
from rl2_vizdoom.mazes import SPLITS, Maze, Split, split_mazes

if TYPE_CHECKING:
    from rl2_vizdoom.env import MazeEnv

Movement = Literal["engine", "exact"]
NODES = {"small": 3, "large": 5}
HORIZON, LONG_HORIZON = 250, 1000


@dataclass
class VizdoomMaze(GymTasks):
    """Mazes seen through the eyes of a player, with a red goal (Duan et al. 2016, section 3.3).

    A task is a maze's number. The defaults are the paper's for training; its tests are on
    ``split="test"``, small and large.
    """

    size: Literal["small", "large"] | int = "small"
    """3x3 nodes (small), 5x5 (large), or nodes a side; walls fill whole blocks between them."""
    split: Split = "train"
    """The two have no maze in common."""
    mazes: int = 1000
    """Number of distinct mazes to draw from, always the same ones."""
    horizon: int | None = None
    """Steps of an episode at most. By default 250, and 1000 in large test mazes."""
    movement: Movement = "engine"
    """The engine's own, with inertia; or exact: moves of 19.2 units (5 a block), turns of 22.5°."""
    frame_skip: int = 4
    """Tics that an action lasts."""
    privileged_size: ClassVar[int] = TOLD

    def __post_init__(self) -> None:
        nodes = NODES.get(self.size, 0) if isinstance(self.size, str) else self.size
        if nodes < 2:
            raise ValueError(f"size={self.size!r}: use small, large, or 2 or more nodes a side.")
        for name, known in (("split", SPLITS), ("movement", get_args(Movement))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r}: use one of {', '.join(known)}.")
        for name in ("mazes", "horizon", "frame_skip"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value!r}: at least 1.")
        self._nodes = nodes
        self.plans()

    def sample(self, rng: np.random.Generator) -> int:
        """Draw a maze's number."""
        return int(rng.integers(self.mazes))

    def all_tasks(self) -> Sequence[int]:
        """The numbers of all mazes."""
        return range(self.mazes)

    def held_out(self) -> VizdoomMaze:
        """The same mazes' test split."""
        return replace(self, split="test")

    def make_env(self) -> MazeEnv:
        """An environment with an engine of its own, which starts at the first reset."""
        from rl2_vizdoom.env import MazeEnv  # and with it ViZDoom, in the worker that needs it

        return MazeEnv(self.plans(), self.limit(), self.movement == "exact", self.frame_skip)

    def plans(self) -> tuple[Maze, ...]:
        """The mazes that tasks number."""
        return split_mazes(self._nodes, self.split, self.mazes)

    def limit(self) -> int:
        """Steps of an episode at most: the horizon, or its default."""
        if self.horizon is not None:
            return self.horizon
        long = self.size in ("large", NODES["large"]) and self.split == "test"
        return LONG_HORIZON if long else HORIZON
