"""How far the goal is from everywhere in a maze."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, cos, radians, sin

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from rl2_vizdoom.mazes import Maze
from rl2_vizdoom.wad import BLOCK, INSET, centre

RADIUS = 16
"""Half the side of the square that the player fills, in units."""
REACH = BLOCK / 2 - INSET + RADIUS + 2
"""Units from the goal's centre, in x and in y, at which a player touches it, or almost."""
GRID = 16
"""Units between the places whose distance to the goal is computed."""
MARGIN = 0.5
"""Units that a planned way keeps from walls, at least."""
AHEAD = 5
"""Places ahead, on the way to the goal, that the player should face."""
COAST = 9.0
"""Tics of movement that velocity is worth; it would coast on for 10."""
MOVE, TURN = 7.0, 10.0
"""Units and degrees that a tic is worth in estimates; a player turns and moves at once."""
TOLD = 5
"""Numbers that only a simulator knows: the tics left (in hundreds), cosine and sine of how far to
the left the way goes on, and the goal, ahead and to the left (in units of 300)."""
FAR_TICS, FAR = 100.0, 300.0

Floats = NDArray[np.float64]


class Field:
    """Where players fit, how far the goal is from there, and in which direction."""

    def __init__(self, maze: Maze):
        self._walls = maze.walls
        self._goal = np.array(centre(maze.goal))
        rows, columns = (ceil(side * BLOCK / GRID) for side in maze.walls.shape)
        index = np.arange(rows * columns)
        self._columns = columns
        self._places = np.stack([index % columns + 0.5, -(index // columns) - 0.5], 1) * GRID
        fits = self.free(self._places)
        edges = []
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            here = index[: -down * columns - 1]
            there = here + down * columns + right
            both = fits[here] & fits[there]
            edges.append(
                np.stack([here[both], there[both], np.full(both.sum(), down + abs(right))])
            )
        here, there, length = np.concatenate(edges, 1)
        weights = (np.sqrt(length) * GRID, (here, there))
        graph = csr_array(weights, shape=(len(index), len(index)))
        goals = np.flatnonzero(fits & self.reached(self._places[:, None]))
        self._distance, towards, _ = dijkstra(
            graph, directed=False, indices=goals, return_predecessors=True, min_only=True
        )
        towards = np.where(towards < 0, index, towards)
        self._ahead = index
        for _ in range(AHEAD):
            self._ahead = towards[self._ahead]

    def free(self, places: Floats) -> NDArray[np.bool_]:
        """Whether a player at each of the places ``(..., 2)`` touches no wall."""
        free = np.ones(places.shape[:-1], np.bool_)
        half = RADIUS + MARGIN
        for down in (-half, half):
            for right in (-half, half):
                column = ((places[..., 0] + right) // BLOCK).astype(np.int64)
                row = ((-places[..., 1] + down) // BLOCK).astype(np.int64)
                inside = (row >= 0) & (row < len(self._walls))
                inside &= (column >= 0) & (column < self._walls.shape[1])
                free &= inside
                free[inside] &= ~self._walls[row[inside], column[inside]]
        return free

    def reached(self, way: Floats) -> NDArray[np.bool_]:
        """Whether players that go a way ``(n, places, 2)`` touch the goal before any wall."""
        near = (np.abs(way - self._goal) < REACH - 1).all(-1)
        blocked = np.cumsum(~self.free(way), 1) > 0
        return np.asarray((near & ~blocked).any(1))

    def tics_left(self, place: Floats, angle: Floats, velocity: Floats) -> Floats:
        """An estimate, from the distance, the velocity and the direction that players face.

        :param place: ``(n, 2)``, units
        :param angle: ``(n,)``, degrees
        :param velocity: ``(n, 2)``, units per tic
        """
        here = self._nearest(place)
        coasted = place + COAST * velocity
        there = np.where(self.free(coasted), self._nearest(coasted), here)
        there = np.where(np.isfinite(self._distance[there]), there, here)
        x, y = (self._places[self._ahead[there]] - self._places[there]).T
        off = (np.degrees(np.arctan2(y, x)) - angle + 180) % 360 - 180
        off = np.where((x == 0) & (y == 0), 0, off)
        return np.asarray(self._distance[there] / MOVE + np.abs(off) / TURN)

    def tables(self) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """What is known of all places, each table ``(rows, columns)``.

        :return: distance to the goal in units, direction towards it in degrees (NaN at the goal),
            and whether a player fits; where none does, distance and direction are those of the
            nearest place where one does
        """
        known = np.isfinite(self._distance).reshape(-1, self._columns)
        rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
        nearest = (rows * self._columns + columns).reshape(-1)
        x, y = (self._places[self._ahead[nearest]] - self._places[nearest]).T
        towards = np.where((x == 0) & (y == 0), np.nan, np.degrees(np.arctan2(y, x)))
        return (
            self._distance[nearest].reshape(known.shape),
            towards.reshape(known.shape),
            known,
        )

    def _nearest(self, places: Floats) -> NDArray[np.int64]:
        columns, rows = (places * (1, -1) // GRID).astype(np.int64).T
        return np.asarray(np.clip(rows * self._columns + columns, 0, len(self._places) - 1))


class Guide:
    """:meth:`Field.tics_left` from tables, for one player at a time: some microseconds a call."""

    def __init__(self, maze: Maze):
        self._distance, self._towards, self._fits = Field(maze).tables()
        self._goal = centre(maze.goal)

    def tics_left(self, x: float, y: float, angle: float, x_speed: float, y_speed: float) -> float:
        """An estimate of the tics to the goal.

        :param x: units, as ``y``
        :param angle: degrees
        :param x_speed: units per tic, as ``y_speed``
        """
        distance, off = self._ahead(x, y, angle, x_speed, y_speed)
        return distance / MOVE + abs(off) / TURN

    def told(self, x: float, y: float, angle: float, x_speed: float, y_speed: float) -> list[float]:
        """What the player's memory may learn to predict: see :data:`TOLD`."""
        distance, off = self._ahead(x, y, angle, x_speed, y_speed)
        turn, heading = radians(off), radians(angle)
        east, north = self._goal[0] - x, self._goal[1] - y
        return [
            (distance / MOVE + abs(off) / TURN) / FAR_TICS,
            cos(turn),
            sin(turn),
            (cos(heading) * east + sin(heading) * north) / FAR,
            (cos(heading) * north - sin(heading) * east) / FAR,
        ]

    def _ahead(
        self, x: float, y: float, angle: float, x_speed: float, y_speed: float
    ) -> tuple[float, float]:
        """The way to the goal in units, and how far to the left it goes on, in degrees."""
        place = int(-(y + COAST * y_speed) // GRID), int((x + COAST * x_speed) // GRID)
        if not self._fits[place]:
            place = int(-y // GRID), int(x // GRID)
        towards = self._towards.item(place)
        off = (towards - angle + 180) % 360 - 180 if towards == towards else 0.0
        return self._distance.item(place), off


class Guides:
    """The same of many mazes, for many players at once, in arrays.

    :param mazes: what players' ``mazes`` number
    """

    def __init__(self, mazes: Sequence[Maze]):
        distance, towards, fits = zip(*(Field(maze).tables() for maze in mazes), strict=True)
        self._distance, self._towards = np.stack(distance), np.stack(towards)
        self._fits = np.stack(fits)
        self._goals = np.array([centre(maze.goal) for maze in mazes])

    def tics_left(
        self, mazes: NDArray[np.int64], place: Floats, angle: Floats, velocity: Floats
    ) -> Floats:
        """Estimates of the tics to the goal, ``(n,)``.

        :param mazes: the maze of each player, ``(n,)``
        :param place: ``(n, 2)``, units
        :param angle: ``(n,)``, degrees
        :param velocity: ``(n, 2)``, units per tic
        """
        distance, off = self._ahead(mazes, place, angle, velocity)
        return np.asarray(distance / MOVE + np.abs(off) / TURN)

    def told(
        self, mazes: NDArray[np.int64], place: Floats, angle: Floats, velocity: Floats
    ) -> Floats:
        """What players' memories may learn to predict, ``(n, 5)``: see :data:`TOLD`."""
        distance, off = self._ahead(mazes, place, angle, velocity)
        tics = distance / MOVE + np.abs(off) / TURN
        turn, heading = np.radians(off), np.radians(angle)
        east, north = (self._goals[mazes] - place).T
        ahead = np.cos(heading) * east + np.sin(heading) * north
        left = np.cos(heading) * north - np.sin(heading) * east
        return np.column_stack(
            [tics / FAR_TICS, np.cos(turn), np.sin(turn), ahead / FAR, left / FAR]
        )

    def _ahead(
        self, mazes: NDArray[np.int64], place: Floats, angle: Floats, velocity: Floats
    ) -> tuple[Floats, Floats]:
        """The way to the goal in units, and how far to the left it goes on, in degrees."""
        here, coasted = (
            (mazes, *(places[:, ::-1] * (-1, 1) // GRID).astype(np.int64).T)
            for places in (place, place + COAST * velocity)
        )
        there = tuple(
            np.where(self._fits[coasted], c, h) for c, h in zip(coasted, here, strict=True)
        )
        off = (self._towards[there] - angle + 180) % 360 - 180
        return self._distance[there], np.nan_to_num(off)


@lru_cache(maxsize=4096)
def guide(maze: Maze) -> Guide:
    """The guide through a maze, computed once."""
    return Guide(maze)
