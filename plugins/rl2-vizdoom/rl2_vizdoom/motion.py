"""The engine's own movement in arrays: thrust, friction, turning, and sliding along walls.

What ZDoom 2.8 does in a tic with a player and one-sided walls (``P_XYMovement``,
``FSlide::SlideMove``), in floating point where the engine has 16 bits behind the point.
"""

from __future__ import annotations

from math import ceil, cos, floor, radians, sin
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rl2_vizdoom.env import FORWARD, FRICTION, THRUST, TURN_LEFT
from rl2_vizdoom.field import RADIUS, Floats
from rl2_vizdoom.oracle import FAST, SLOW, SLOW_TICS
from rl2_vizdoom.wad import BLOCK, INSET

HALF = BLOCK / 2 - INSET
"""Half the side of the goal's block, units."""
STOP = 1 / 16
"""Units per tic: velocity below it ends, unless the player pushes on."""
SHY = 1 / 32
"""Share of a tic's way that a player who slides keeps from the wall."""
TRIES = 2
"""Slides in a tic, before it is tried along one axis alone."""

Moved = tuple[Floats, Floats, Floats, NDArray[np.int64], Floats]


@njit(cache=True, nogil=True, fastmath=True)
def fits(walls: NDArray[np.bool_], goal: Floats, x: float, y: float) -> bool:
    """Whether a player at a place overlaps neither a wall nor the goal's block."""
    if abs(x - goal[0]) < HALF + RADIUS and abs(y - goal[1]) < HALF + RADIUS:
        return False
    left, right = floor((x - RADIUS) / BLOCK), ceil((x + RADIUS) / BLOCK) - 1
    top, bottom = floor((-y - RADIUS) / BLOCK), ceil((-y + RADIUS) / BLOCK) - 1
    return not (
        walls[top, left] or walls[top, right] or walls[bottom, left] or walls[bottom, right]
    )


@njit(cache=True, nogil=True, fastmath=True)
def _hit(
    walls: NDArray[np.bool_], goal: Floats, middle: float, a: float, b: float, way: Any, across: int
) -> float:
    """Share of a corner's way at which it hits a line across the axis, 2 where it hits none.

    :param middle: the player's own coordinate on the axis: he is in front of what he hits
    :param a: the corner's coordinate on the axis, and ``b`` on the other one
    :param way: of this tic, on the axis and on the other one
    :param across: 0 where the axis is x, 1 where it is y
    """
    ahead, aside = way
    if ahead == 0:
        return 2.0
    sign = 1.0 if ahead > 0 else -1.0
    hit = 2.0
    line = sign * ceil(sign * a / BLOCK) * BLOCK
    share = (line - a) / ahead
    if share < 1 and sign * (line - middle) >= 0:
        there, here = line / BLOCK, line / BLOCK - 1  # the blocks on both sides of the line
        if sign < 0:
            there, here = here, there
        beside = floor((b + share * aside) / BLOCK)
        if across == 0:
            row = -int(beside) - 1
            blocked = walls[row, int(there)] and not walls[row, int(here)]
        else:
            column = int(beside)
            blocked = walls[-int(there) - 1, column] and not walls[-int(here) - 1, column]
        if blocked:
            hit = share
    line = goal[across] - sign * HALF
    share = (line - a) / ahead
    if (
        0 <= share < min(1.0, hit)
        and sign * (line - middle) >= 0
        and abs(b + share * aside - goal[1 - across]) <= HALF
    ):
        hit = share
    return hit


@njit(cache=True, nogil=True, fastmath=True)
def _slide(
    walls: NDArray[np.bool_], goal: Floats, x: float, y: float, x_speed: float, y_speed: float
) -> tuple[float, float, float, float]:
    """A tic's way that is blocked: up to the wall, and what is left of it along the wall.

    :return: place, and velocity before friction
    """
    x_way, y_way = x_speed, y_speed
    for _ in range(TRIES):
        x_lead = x + (RADIUS if x_way > 0 else -RADIUS)
        y_lead = y + (RADIUS if y_way > 0 else -RADIUS)
        share, along_y = 2.0, False
        for corner in range(3):  # the three that lead
            x_corner = 2 * x - x_lead if corner == 1 else x_lead
            y_corner = 2 * y - y_lead if corner == 2 else y_lead
            found = _hit(walls, goal, x, x_corner, y_corner, (x_way, y_way), 0)
            if found < share:
                share, along_y = found, True
            found = _hit(walls, goal, y, y_corner, x_corner, (y_way, x_way), 1)
            if found < share:
                share, along_y = found, False
        if share > 1:
            break
        near = share - SHY
        if near > 0:
            if not fits(walls, goal, x + near * x_way, y + near * y_way):
                break
            x, y = x + near * x_way, y + near * y_way
        rest = min(1 - share, 1.0)
        if rest <= 0:
            return x, y, x_speed, y_speed
        x_way, y_way = rest * x_way, rest * y_way
        x_speed, y_speed = (0.0, y_way) if along_y else (x_way, 0.0)
        if fits(walls, goal, x + x_speed, y + y_speed):
            return x + x_speed, y + y_speed, x_speed, y_speed
    if fits(walls, goal, x, y + y_way):
        return x, y + y_way, x_speed, y_speed
    if fits(walls, goal, x + x_way, y):
        return x + x_way, y, x_speed, y_speed
    return x, y, x_speed, y_speed


@njit(cache=True, nogil=True, fastmath=True)
def move(
    walls: NDArray[np.bool_],
    goals: Floats,
    mazes: NDArray[np.int64],
    place: Floats,
    angle: Floats,
    velocity: Floats,
    turning: NDArray[np.int64],
    actions: NDArray[np.int64],
    tics: int,
) -> Moved:
    """Players after an action of so many tics.

    :param walls: of all mazes, ``(mazes, rows, columns)``
    :param goals: centres of the goals' blocks, ``(mazes, 2)``, units
    :param mazes: the maze of each player, ``(n,)``
    :param place: ``(n, 2)``, units
    :param angle: ``(n,)``, degrees
    :param velocity: ``(n, 2)``, units per tic
    :param turning: tics since the player began to turn, ``(n,)``
    :return: place, angle, velocity and turning after it, and the velocity in the last tic before
        walls and friction, which the eyes bob with
    """
    n = len(mazes)
    place_after, velocity_after = np.empty((n, 2)), np.empty((n, 2))
    angle_after, turning_after = np.empty(n), np.empty(n, np.int64)
    bob = np.empty((n, 2))
    for i in range(n):
        plan, goal, action = walls[mazes[i]], goals[mazes[i]], actions[i]
        x, y, x_speed, y_speed = place[i, 0], place[i, 1], velocity[i, 0], velocity[i, 1]
        facing, turned = angle[i], turning[i]
        forward = action == FORWARD
        if forward:
            turned = 0
            x_thrust = THRUST * cos(radians(facing))
            y_thrust = THRUST * sin(radians(facing))
        for _ in range(tics):
            if forward:
                x_speed, y_speed = x_speed + x_thrust, y_speed + y_thrust
            else:
                turned = min(turned + 1, SLOW_TICS + 1)
                turn = SLOW if turned <= SLOW_TICS else FAST
                facing += turn if action == TURN_LEFT else -turn
            bob[i] = x_speed, y_speed
            if fits(plan, goal, x + x_speed, y + y_speed):
                x, y = x + x_speed, y + y_speed
            else:
                x, y, x_speed, y_speed = _slide(plan, goal, x, y, x_speed, y_speed)
            if not forward and abs(x_speed) < STOP and abs(y_speed) < STOP:
                x_speed, y_speed = 0.0, 0.0
            else:
                x_speed, y_speed = FRICTION * x_speed, FRICTION * y_speed
        place_after[i] = x, y
        velocity_after[i] = x_speed, y_speed
        angle_after[i] = facing % 360
        turning_after[i] = turned
    return place_after, angle_after, velocity_after, turning_after, bob
