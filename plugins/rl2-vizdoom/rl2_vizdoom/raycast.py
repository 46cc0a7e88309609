"""The mazes without the engine, as rl2-sb3 finds them by their name ``raycast-maze``.

What moves and is seen as in :class:`rl2_vizdoom.VizdoomMaze`, nearly, at a small part of its cost:
agents may be trained here, and go on and be evaluated there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3 import BatchedTasks
from rl2_vizdoom.env import CONTACT, FORWARD, FOUND, GUIDANCE, LIVING, free_movement
from rl2_vizdoom.field import REACH, Floats, Guides
from rl2_vizdoom.mazes import Split
from rl2_vizdoom.motion import move
from rl2_vizdoom.rays import COLUMNS, ROWS, eyes, look, see
from rl2_vizdoom.tasks import VizdoomMaze
from rl2_vizdoom.wad import centre

Ints = NDArray[np.int64]


class Player(NamedTuple):
    """Where players are; each array has a row for each."""

    place: Floats  # (n, 2) units, x to the east and y to the north
    angle: Floats  # (n,) degrees counterclockwise from the east
    velocity: Floats  # (n, 2) units per tic
    turning: Ints  # (n,) tics since it began to turn, 0 where it moves forward
    steps: Ints  # (n,) of the episode


@dataclass
class RaycastMaze(BatchedTasks[Ints, Player]):
    """The mazes of vizdoom-maze, drawn and moved through by arrays, in its engine's manner.

    Task, observation, actions and rewards are those of ``vizdoom-maze`` with ``movement="engine"``:
    a task is a maze's number, and the same number the same maze.
    """

    size: Literal["small", "large"] | int = "small"
    """3x3 nodes (small), 5x5 (large), or nodes a side; walls fill whole blocks between them."""
    split: Split = "train"
    """The two have no maze in common."""
    mazes: int = 1000
    """Number of distinct mazes to draw from, always the same ones."""
    limit: int | None = None
    """Steps of an episode at most. By default 250, and 1000 in large test mazes."""
    frame_skip: int = 4
    """Tics that an action lasts."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit={self.limit!r}: at least 1.")
        engine = VizdoomMaze(
            self.size, self.split, self.mazes, self.limit, frame_skip=self.frame_skip
        )
        self.observation_space = spaces.Box(0, 255, (ROWS, COLUMNS, 3), np.uint8)
        self.action_space = spaces.Discrete(3)
        self._limit = engine.limit()
        self._plans = engine.plans()
        self._walls = np.stack([maze.walls for maze in self._plans])
        self._starts = np.array([centre(maze.start) for maze in self._plans])
        self._goals = np.array([centre(maze.goal) for maze in self._plans])
        self._look = look()
        self._coast, self._push = free_movement(False, self.frame_skip)

    def sample(self, n: int, rng: np.random.Generator) -> Ints:
        """Draw mazes' numbers."""
        return rng.integers(self.mazes, size=n)

    def reset(self, params: Ints, rng: np.random.Generator) -> tuple[Player, NDArray[np.uint8]]:
        """Begin at the mazes' starts, facing east."""
        n = len(params)
        still, none = np.zeros((n, 2)), np.zeros(n, np.int64)
        state = Player(self._starts[params], np.zeros(n), still, none, none.copy())
        return state, self.see(params, state, still)

    def step(
        self, params: Ints, state: Player, action: NDArray[Any], rng: np.random.Generator
    ) -> tuple[Player, NDArray[np.uint8], Floats, NDArray[np.bool_]]:
        """Turn left (0), turn right (1) or move forward (2)."""
        after, bob = self._move(params, state, action)
        reward, found = self._reward(params, state, after, action)
        return after, self.see(params, after, bob), reward, found | (after.steps >= self._limit)

    def see(self, params: Ints, state: Player, bob: Floats) -> NDArray[np.uint8]:
        """What players see, RGB ``(n, 30, 40, 3)``.

        :param bob: velocity before walls and friction, ``(n, 2)``, units per tic
        """
        height = eyes(bob, state.steps * self.frame_skip)
        return np.asarray(
            see(self._walls, self._goals, params, state.place, state.angle, height, self._look)
        )

    def privileged_observation(self, params: Ints, state: Player) -> Floats:
        """What only a simulator knows, ``(n, 5)``: see :data:`rl2_vizdoom.field.TOLD`."""
        return self._guides.told(params, state.place, state.angle, state.velocity)

    def training_reward(self, params: Ints, state: Player, action: NDArray[Any]) -> Floats:
        """The reward, and what the way to the goal is worth that the step wins."""
        after, _ = self._move(params, state, action)
        reward, found = self._reward(params, state, after, action)
        before, left = (
            self._guides.tics_left(params, each.place, each.angle, each.velocity)
            for each in (state, after)
        )
        return np.asarray(reward + GUIDANCE * (before - np.where(found, 0.0, left)))

    @cached_property
    def _guides(self) -> Guides:
        """Those of all mazes: a second or two, for who asks what only a simulator knows."""
        return Guides(self._plans)

    def held_out(self) -> RaycastMaze:
        """The same mazes' test split."""
        return replace(self, split="test")

    def _move(self, params: Ints, state: Player, action: NDArray[Any]) -> tuple[Player, Floats]:
        place, angle, velocity, turning, bob = move(
            self._walls,
            self._goals,
            params,
            *state[:4],
            np.asarray(action, np.int64),
            self.frame_skip,
        )
        return Player(place, angle, velocity, turning, state.steps + 1), bob

    def _reward(
        self, params: Ints, before: Player, after: Player, action: NDArray[Any]
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """The rewards, and whether players touch the goal: as in the engine's environment."""
        found = (np.abs(after.place - self._goals[params]) < REACH).all(1)
        heading = np.radians(before.angle)
        push = np.where(np.asarray(action) == FORWARD, self._push, 0.0)
        free = before.place + self._coast * before.velocity
        free += push[:, None] * np.stack([np.cos(heading), np.sin(heading)], 1)
        stopped = np.abs(after.place - free).sum(1) > 0.5
        paid = np.where(found, FOUND, np.where(stopped, CONTACT, 0.0))
        return LIVING * self.frame_skip + paid, found
