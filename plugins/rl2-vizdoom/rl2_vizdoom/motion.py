"""The engine's own movement in arrays: thrust, friction, turning, and sliding along walls.

What ZDoom 2.8 does in a tic with a player and one-sided walls (``P_XYMovement``,
``FSlide::SlideMove``), in its whole numbers, and so bit for bit, but for one thing: where a corner
of the player's square passes the end of a wall, the engine sometimes takes the wall to go on.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sin
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rl2_vizdoom.env import FORWARD, FRICTION, THRUST, TURN_LEFT
from rl2_vizdoom.field import RADIUS, Floats
from rl2_vizdoom.oracle import FAST, SLOW, SLOW_TICS
from rl2_vizdoom.wad import BLOCK, INSET

HALF = BLOCK // 2 - INSET
"""Half the side of the goal's block, units."""
BITS = 16
"""Behind the point of the engine's numbers."""
ONE = 1 << BITS
AROUND = ONE * RADIUS
SIDE = ONE * BLOCK
GOAL = ONE * HALF
STOP = ONE // 16
"""Velocity below it ends, unless the player pushes on."""
SHY = ONE // 32
"""Share of a tic's way that a player who slides keeps from the wall."""
TRIES = 2
"""Slides in a tic, before it is tried along one axis alone."""
KEPT, PUSH = int(FRICTION * ONE), int(THRUST * ONE)
MISSED = 2 * ONE

Moved = tuple[Floats, Floats, Floats, NDArray[np.int64], Floats]
Ints = NDArray[np.int64]
Pair = tuple[int, int]
Function = TypeVar("Function", bound=Callable[..., Any])


def _sines() -> Ints:
    """The engine's sines, 8192 to the circle; those of mirrored quarters are off by one."""
    quarter = [int(ONE * sin(2 * pi * i / 8192)) for i in range(2048)]
    half = np.array(quarter + quarter[::-1])
    half[2048] = ONE
    return np.concatenate([half, -half])


SINES = _sines()


def compiled(function: Function) -> Function:
    """Compile a function at its first call, some seconds for all of them.

    In each process anew: a cache on disk would keep the constants of other files as they were.
    """
    decorate = njit(nogil=True, fastmath=True, error_model="numpy")
    return cast(Function, decorate(function))


@compiled
def _fits(solid: NDArray[np.bool_], goal: Pair, x: int, y: int) -> bool:
    """Whether a player at a place overlaps neither a wall nor the goal's block."""
    if abs(x - goal[0]) < GOAL + AROUND and abs(y - goal[1]) < GOAL + AROUND:
        return False
    left, right = (x - AROUND) // SIDE, -(-(x + AROUND) // SIDE) - 1
    low, high = (y - AROUND) // SIDE, -(-(y + AROUND) // SIDE) - 1
    return not (solid[low, left] or solid[low, right] or solid[high, left] or solid[high, right])


@compiled
def _hit(solid: NDArray[np.bool_], goal: Pair, middle: int, corner: Pair, way: Pair) -> int:
    """Share of a corner's way at which it hits a line across an axis; ``MISSED`` where none.

    Pairs are of the coordinate on this axis and of the other one.

    :param solid: blocks by the other axis and this one
    :param middle: the player's own coordinate on the axis: he is in front of what he hits
    """
    if way[0] == 0:
        return MISSED
    sign = 1 if way[0] > 0 else -1
    start, end, front = sign * corner[0], sign * (corner[0] + way[0]), sign * middle
    hit = MISSED
    block = -(-start // SIDE)
    line = block * SIDE
    if end > line >= front:
        share = round((line - start) / (end - start) * ONE)
        beside = (corner[1] + (share * way[1] >> BITS)) // SIDE
        here, there = (block - 1, block) if sign > 0 else (-block, -block - 1)
        if solid[beside, there] and not solid[beside, here]:
            first, last = beside, beside  # the line goes on along the wall
            while solid[first - 1, there] and not solid[first - 1, here]:
                first -= 1
            while solid[last + 1, there] and not solid[last + 1, here]:
                last += 1
            if (end - line) * (last + 1 - first) * BLOCK >= ONE:  # or the engine does not see it
                hit = share
    line = sign * goal[0] - GOAL
    if end > line >= max(front, start):
        share = round((line - start) / (end - start) * ONE)
        beside = corner[1] + (share * way[1] >> BITS)
        if abs(beside - goal[1]) <= GOAL and (end - line) * 2 * HALF >= ONE:
            hit = min(hit, share)
    return hit


@compiled
def _slide(
    solid: NDArray[np.bool_], goal: Pair, x: int, y: int, x_speed: int, y_speed: int
) -> tuple[int, int, int, int]:
    """A tic's way that is blocked: up to the wall, and what is left of it along the wall.

    :return: place, and velocity before friction
    """
    x_way, y_way = x_speed, y_speed
    for _ in range(TRIES):
        x_lead = x + (AROUND if x_way > 0 else -AROUND)
        y_lead = y + (AROUND if y_way > 0 else -AROUND)
        share, along_y = MISSED, False
        for corner in range(3):  # the three that lead
            x_corner = 2 * x - x_lead if corner == 1 else x_lead
            y_corner = 2 * y - y_lead if corner == 2 else y_lead
            across = _hit(solid, goal, x, (x_corner, y_corner), (x_way, y_way))
            if across < share:
                share, along_y = across, True
            across = _hit(solid.T, goal[::-1], y, (y_corner, x_corner), (y_way, x_way))
            if across < share:
                share, along_y = across, False
        if share == MISSED:
            break
        near = share - SHY
        if near > 0:
            x_near, y_near = x + (x_way * near >> BITS), y + (y_way * near >> BITS)
            if not _fits(solid, goal, x_near, y_near):
                break
            x, y = x_near, y_near
        rest = ONE - share
        if rest <= 0:
            return x, y, x_speed, y_speed
        x_way, y_way = x_way * rest >> BITS, y_way * rest >> BITS
        x_speed, y_speed = (0, y_way) if along_y else (x_way, 0)
        if _fits(solid, goal, x + x_speed, y + y_speed):
            return x + x_speed, y + y_speed, x_speed, y_speed
    if _fits(solid, goal, x, y + y_way):
        return x, y + y_way, x_speed, y_speed
    if _fits(solid, goal, x + x_way, y):
        return x + x_way, y, x_speed, y_speed
    return x, y, x_speed, y_speed


@compiled
def move(
    walls: NDArray[np.bool_],
    goals: Floats,
    mazes: Ints,
    place: Floats,
    angle: Floats,
    velocity: Floats,
    turning: Ints,
    actions: Ints,
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
    place_after, velocity_after, bob = np.empty((n, 2)), np.empty((n, 2)), np.empty((n, 2))
    angle_after, turning_after = np.empty(n), np.empty(n, np.int64)
    for i in range(n):
        maze, action = mazes[i], actions[i]
        solid = walls[maze, ::-1]  # by y and x, for y is below 0
        goal = round(goals[maze, 0] * ONE), round(goals[maze, 1] * ONE)
        x, y = round(place[i, 0] * ONE), round(place[i, 1] * ONE)
        x_speed, y_speed = round(velocity[i, 0] * ONE), round(velocity[i, 1] * ONE)
        facing, turned = angle[i], turning[i]
        forward = action == FORWARD
        x_push = y_push = 0
        if forward:
            turned = 0
            fine = round(facing * 8192 / 360)
            x_push = SINES[(fine + 2048) % 8192] * PUSH >> BITS
            y_push = SINES[fine % 8192] * PUSH >> BITS
        for _ in range(tics):
            if forward:
                x_speed, y_speed = x_speed + x_push, y_speed + y_push
            else:
                turned = min(turned + 1, SLOW_TICS + 1)
                turn = SLOW if turned <= SLOW_TICS else FAST
                facing += turn if action == TURN_LEFT else -turn
            bob[i] = x_speed / ONE, y_speed / ONE
            if _fits(solid, goal, x + x_speed, y + y_speed):
                x, y = x + x_speed, y + y_speed
            else:
                x, y, x_speed, y_speed = _slide(solid, goal, x, y, x_speed, y_speed)
            still = not forward and abs(x_speed) < STOP and abs(y_speed) < STOP
            kept = 0 if still else KEPT
            x_speed, y_speed = x_speed * kept >> BITS, y_speed * kept >> BITS
        place_after[i] = x / ONE, y / ONE
        velocity_after[i] = x_speed / ONE, y_speed / ONE
        angle_after[i] = facing % 360
        turning_after[i] = turned
    return place_after, angle_after, velocity_after, turning_after, bob
