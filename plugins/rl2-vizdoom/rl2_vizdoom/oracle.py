"""How few steps a maze takes for who knows it: the reference for an agent that must explore.

A beam search over the player's movement, which is known exactly away from walls, plans an
episode's actions; :func:`play` has the real engine execute them.

    python -m rl2_vizdoom --help
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from rl2_vizdoom.engine import TURN
from rl2_vizdoom.env import EXACT_MOVE, FORWARD, FRICTION, RADIUS, REACH, THRUST, MazeEnv
from rl2_vizdoom.mazes import Maze
from rl2_vizdoom.wad import BLOCK, centre

GRID = 16
"""Units between the places whose distance to the goal is computed."""
MARGIN = 0.5
"""Units that the plan keeps from walls, at least."""
SLOW_TICS, SLOW, FAST = 5, 1.7578125, 3.515625
"""The engine's own turning: tics of it that are slow, degrees in one of them, and in the others."""
AHEAD = 5
"""Places ahead, on the way to the goal, that the player should face."""
COAST = 9.0
"""Tics of movement that velocity is worth; it would coast on for 10."""
MOVE, TURNED = 28.0, 40.0
"""Units and degrees that a step is worth in the beam's order; it turns and moves at once."""

BEAM = 500
"""On 12 small mazes, six times as many found no shorter plan."""

Floats = NDArray[np.float64]


class Players(NamedTuple):
    """Many players at once, each a row."""

    place: Floats  # (n, 2) units
    angle: Floats  # (n,) degrees
    velocity: Floats  # (n, 2) units per tic
    turning: NDArray[np.int64]  # (n,) tics since it began to turn
    origin: NDArray[np.int64]  # (n,) the row that it comes from
    action: NDArray[np.int64]  # (n,)


def plan(maze: Maze, exact: bool = False, frame_skip: int = 4, beam: int = BEAM) -> list[int]:
    """Actions that lead to the goal in few steps, without touching a wall.

    :param beam: players that are followed at once; more of them find shorter plans
    :raises ValueError: no way was found
    """
    field = _Field(maze)
    none = np.zeros(1, np.int64)
    players = Players(
        np.array([centre(maze.start)]), np.zeros(1), np.zeros((1, 2)), none, none, none
    )
    history: list[Players] = []
    met = np.zeros(0, np.int64)  # what was reached before was reached sooner
    for _ in range(200 * len(maze.walls)):
        moved = [_move(players, action, exact, frame_skip) for action in range(3)]
        places = np.concatenate([way for _, way in moved])  # (3n, tics, 2)
        after: list[Any] = [
            np.concatenate(part) for part in zip(*[p for p, _ in moved], strict=True)
        ]
        players = Players(*after)
        found = field.reached(places)
        if found.any():
            row = int(found.argmax())
            actions = [int(players.action[row])]
            for before in history[::-1]:
                row = int(players.origin[row])
                players = before
                actions.append(int(players.action[row]))
            return actions[::-1]
        players = _take(players, np.flatnonzero(field.free(places).all(1)))
        rows, keys = _distinct(players)
        new = ~np.isin(keys, met)
        players = _take(players, rows[new])
        met = np.concatenate([met, keys[new]])
        players = _take(players, np.argsort(field.steps_left(players), kind="stable")[:beam])
        history.append(players)
    raise ValueError(f"No way was found through this maze; a wider beam may find one:\n{maze}")


def _take(players: Players, rows: NDArray[np.int64]) -> Players:
    parts: list[Any] = [part[rows] for part in players]
    return Players(*parts)


def _distinct(players: Players) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One row of each set of players that are almost alike, and a number for each set."""
    parts = np.column_stack(
        [players.place / 4, players.angle / 3.5, players.velocity / 0.5, players.turning]
    )
    parts = np.round(parts).astype(np.int64) % 1024
    keys, rows = np.unique(parts @ 1024 ** np.arange(6), return_index=True)
    return rows, keys


def _move(players: Players, action: int, exact: bool, tics: int) -> tuple[Players, Floats]:
    """Players after an action, and where they are after each of its tics, ``(n, tics, 2)``."""
    place, angle, velocity, turning = (
        players.place,
        players.angle,
        players.velocity,
        players.turning,
    )
    heading = np.stack([np.cos(np.radians(angle)), np.sin(np.radians(angle))], 1)
    sign = (1, -1, 0)[action]
    way = []
    for _ in range(tics):
        if action == FORWARD:
            velocity = heading * EXACT_MOVE if exact else velocity + THRUST * heading
        elif exact:
            angle = angle + sign * TURN
        else:
            turning = np.minimum(turning + 1, SLOW_TICS + 1)
            angle = angle + sign * np.where(turning <= SLOW_TICS, SLOW, FAST)
        place = place + velocity
        velocity = velocity * (0 if exact else FRICTION)
        way.append(place)
    if action == FORWARD:
        turning = np.zeros_like(turning)
    rows = np.arange(len(angle))
    after = Players(place, angle % 360, velocity, turning, rows, np.full_like(rows, action))
    return after, np.stack(way, 1)


class _Field:
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

    def steps_left(self, players: Players) -> Floats:
        """An estimate, from the distance, the velocity and the direction that they face."""
        here = self._nearest(players.place)
        coasted = players.place + COAST * players.velocity
        there = np.where(self.free(coasted), self._nearest(coasted), here)
        there = np.where(np.isfinite(self._distance[there]), there, here)
        x, y = (self._places[self._ahead[there]] - self._places[there]).T
        off = (np.degrees(np.arctan2(y, x)) - players.angle + 180) % 360 - 180
        off = np.where((x == 0) & (y == 0), 0, off)
        return np.asarray(self._distance[there] / MOVE + np.abs(off) / TURNED)

    def _nearest(self, places: Floats) -> NDArray[np.int64]:
        columns, rows = (places * (1, -1) // GRID).astype(np.int64).T
        return np.asarray(np.clip(rows * self._columns + columns, 0, len(self._places) - 1))


def play(env: MazeEnv, task: int, actions: Iterable[int]) -> tuple[int, bool]:
    """Play an episode with given actions, to its end or theirs.

    :return: its length in steps, the horizon where it did not reach the goal, and whether it did
    """
    env.reset(options={"task": task})
    info: dict[str, Any] = {}
    for action in actions:
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            break
    found = bool(info.get("is_success"))
    return info["length"] if found else env.horizon, found
