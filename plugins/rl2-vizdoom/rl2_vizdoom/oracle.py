"""How few steps a maze takes for who knows it: the reference for an agent that must explore.

A beam search over the player's movement, which is known exactly away from walls, plans an
episode's actions; :func:`play` has the real engine execute them.

    python -m rl2_vizdoom --help
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl2_vizdoom.engine import TURN
from rl2_vizdoom.env import EXACT_MOVE, FORWARD, FRICTION, THRUST, MazeEnv
from rl2_vizdoom.field import Field, Floats
from rl2_vizdoom.mazes import Maze
from rl2_vizdoom.wad import centre

SLOW_TICS, SLOW, FAST = 5, 1.7578125, 3.515625
"""The engine's own turning: tics of it that are slow, degrees in one of them, and in the others."""
BEAM = 500
"""On 12 small mazes, six times as many found no shorter plan."""


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
    field = Field(maze)
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
        players = _take(
            players,
            np.argsort(
                field.tics_left(players.place, players.angle, players.velocity), kind="stable"
            )[:beam],
        )
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
