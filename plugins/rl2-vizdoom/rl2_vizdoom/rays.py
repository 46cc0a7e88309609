"""The engine's view in arrays: a ray for each column, and what it meets row by row.

The same screen of 160x120 pixels, field of view, textures, palette, light and bobbing eyes, of
which half the rows and half the columns are computed. The engine's numbers are in the comments.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from importlib.util import find_spec
from math import cos, floor, radians, sin
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from rl2_vizdoom.field import Floats
from rl2_vizdoom.motion import HALF
from rl2_vizdoom.wad import BLOCK, CEILING, FLOOR, GOAL, LIGHT, TOP, WALL, textures

ROWS, COLUMNS = 30, 40
SAMPLES = 2
"""Rows and columns that are computed in each of the image's."""
EYE = 41.0
"""Units above the floor."""
BOB_TICS, BOB, MOST_BOB, BEGUN = 20, 0.25, 16.0, 9
"""Tics in which eyes bob once, units per squared velocity, their most, and the phase in tics."""
WIDE, TALL = 80.0, 96.0
"""Focal lengths in the engine's pixels: 90 degrees in 160 columns, pixels 1.2 times as high."""
LEFT, HIGH = 80.5, 59.5
"""Pixels to the left of the middle and above the horizon: the engine looks at pixels' corners."""
CONTRAST = 2
"""Shades that walls along the y axis are lighter, and along the x axis darker."""
NEAR, SHADES = 1280.0, 24.0
"""Units times the shades that nearness saves, and the most of them."""
SHADE = 64 - (LIGHT + 12) / 4
"""Of what is far away; of 32, the highest is black."""


class Look(NamedTuple):
    """Textures as numbers of colours, and the colours by shade."""

    wall: NDArray[np.uint8]  # (96 columns, 128 rows)
    goal: NDArray[np.uint8]  # (96 columns, 128 rows)
    floor: NDArray[np.uint8]  # (64 rows, 64 columns)
    top: int  # the ceiling has one colour
    colours: NDArray[np.int64]  # (32 shades, 256): red + 2^16 green + 2^32 blue, to be added up


@lru_cache(maxsize=1)
def look() -> Look:
    """What the engine makes of the textures: the nearest of its colours to 5 bits of each part."""
    spec = find_spec("vizdoom")
    assert spec is not None and spec.origin is not None
    lumps = _lumps(Path(spec.origin).with_name("freedoom2.wad"), ("PLAYPAL", "COLORMAP"))
    palette = np.frombuffer(lumps["PLAYPAL"][:768], np.uint8).reshape(256, 3).astype(np.int64)
    shades = np.frombuffer(lumps["COLORMAP"][: 32 * 256], np.uint8).reshape(32, 256)
    numbers = {}
    for name, content in textures():
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        five = image[..., ::-1].astype(np.int64) >> 3
        off = (five << 3 | five >> 2)[..., None, :] - palette
        numbers[name] = (off**2).sum(-1).argmin(-1).astype(np.uint8)
    wall, goal = (np.ascontiguousarray(numbers[name].T) for name in (WALL, GOAL))
    colours = (palette[shades] << (0, 16, 32)).sum(-1)
    return Look(wall, goal, numbers[FLOOR], int(numbers[TOP][0, 0]), colours)


def _lumps(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Lumps of a WAD, by their names."""
    with path.open("rb") as file:
        _, count, offset = struct.unpack("<4sii", file.read(12))
        file.seek(offset)
        found = {}
        for start, size, name in struct.iter_unpack("<ii8s", file.read(16 * count)):
            if name.rstrip(b"\0").decode() in names:
                file.seek(start)
                found[name.rstrip(b"\0").decode()] = file.read(size)
    return found


def eyes(bob: Floats, tics: NDArray[np.int64]) -> Floats:
    """Height of players' eyes over the floor, ``(n,)`` units.

    :param bob: velocity before walls and friction, ``(n, 2)``, units per tic
    :param tics: since the episode began, ``(n,)``
    """
    swing = np.minimum(BOB * (bob**2).sum(1), MOST_BOB) / 2
    return np.asarray(EYE + swing * np.sin(2 * np.pi / BOB_TICS * (tics + BEGUN)))


@njit(cache=True, nogil=True, fastmath=True)
def _shade(shade: float, distance: float) -> int:
    return min(max(int(floor(shade - min(SHADES, NEAR / distance))), 0), 31)


@njit(cache=True, nogil=True, fastmath=True)
def see(
    walls: NDArray[np.bool_],
    goals: Floats,
    mazes: NDArray[np.int64],
    place: Floats,
    angle: Floats,
    eye: Floats,
    textures: Look,
) -> NDArray[np.uint8]:
    """What players see, RGB ``(n, 30, 40, 3)``.

    :param walls: of all mazes, ``(mazes, rows, columns)``
    :param goals: centres of the goals' blocks, ``(mazes, 2)``, units
    :param mazes: the maze of each player, ``(n,)``
    :param place: ``(n, 2)``, units
    :param angle: ``(n,)``, degrees
    :param eye: heights of the eyes, ``(n,)``, units
    """
    n, rows, pixel = len(mazes), ROWS * SAMPLES, 4.0 / SAMPLES
    colours = textures.colours
    image = np.empty((n, ROWS, COLUMNS, 3), np.uint8)
    below = np.empty(rows)  # pixels below the horizon
    for row in range(rows):
        below[row] = pixel * (row + 0.5) - HIGH
    far, shade, top = np.empty(rows), np.empty(rows, np.int64), np.empty(rows, np.int64)
    total = np.empty(ROWS, np.int64)
    for i in range(n):
        plan, goal = walls[mazes[i]], goals[mazes[i]]
        x, y, height = place[i, 0], place[i, 1], eye[i]
        x_ahead, y_ahead = cos(radians(angle[i])), sin(radians(angle[i]))
        for row in range(rows):
            down = below[row]
            far[row] = (height if down > 0 else height - CEILING) * TALL / down
            shade[row] = _shade(SHADE, far[row])
            top[row] = colours[shade[row], textures.top]
        for column in range(COLUMNS):
            total[:] = 0
            for sample in range(SAMPLES):
                right = (pixel * (column * SAMPLES + sample + 0.5) - LEFT) / WIDE
                dx, dy = x_ahead + y_ahead * right, y_ahead - x_ahead * right
                distance, u, upright, red = _meet(plan, goal, x, y, dx, dy)
                shades = colours[
                    _shade(SHADE - CONTRAST if upright else SHADE + CONTRAST, distance)
                ]
                strip = textures.goal[u] if red else textures.wall[u]
                scale = distance / TALL
                above = (height - CEILING) / scale
                first = min(max(int(np.ceil((above + HIGH) / pixel - 0.5)), 0), rows)
                last = min(max(int(np.ceil((height / scale + HIGH) / pixel - 0.5)), 0), rows)
                for row in range(first):
                    total[row // SAMPLES] += top[row]
                for row in range(first, last):
                    v = int(below[row] * scale + (CEILING - height))
                    total[row // SAMPLES] += shades[strip[v]]
                for row in range(last, rows):
                    east, south = int(x + dx * far[row]) & 63, int(-y - dy * far[row]) & 63
                    total[row // SAMPLES] += colours[shade[row], textures.floor[south, east]]
            for row in range(ROWS):
                for part in range(3):
                    added = (total[row] >> 16 * part) & 0xFFFF
                    image[i, row, column, part] = (added + SAMPLES**2 // 2) // SAMPLES**2
    return image


@njit(cache=True, nogil=True, fastmath=True)
def _meet(
    plan: NDArray[np.bool_], goal: Floats, x: float, y: float, dx: float, dy: float
) -> tuple[float, int, bool, bool]:
    """What a ray meets first.

    :return: distance in the direction that the player faces, column of the texture, whether the
        wall runs along the y axis, and whether it is the goal's
    """
    if abs(dx) < 1e-9:
        dx = 1e-9
    if abs(dy) < 1e-9:
        dy = 1e-9
    column, row = int(x / BLOCK), int(-y / BLOCK)
    goal_column, goal_row = int(goal[0] / BLOCK), int(-goal[1] / BLOCK)
    to_east, to_south = dx > 0, dy < 0
    x_step, y_step = BLOCK / abs(dx), BLOCK / abs(dy)
    x_next = ((column + to_east) * BLOCK - x) / dx
    y_next = (-(row + to_south) * BLOCK - y) / dy
    while True:
        upright = x_next < y_next
        if upright:
            distance = x_next
            x_next += x_step
            column += 1 if to_east else -1
        else:
            distance = y_next
            y_next += y_step
            row += 1 if to_south else -1
        if column == goal_column and row == goal_row:
            x_near = (goal[0] - (HALF if to_east else -HALF) - x) / dx
            y_near = (goal[1] - (-HALF if to_south else HALF) - y) / dy
            near = max(x_near, y_near)
            upright = x_near > y_near
            if upright:
                aside = y + near * dy - goal[1]
                u = HALF - aside if to_east else HALF + aside
            else:
                aside = x + near * dx - goal[0]
                u = HALF - aside if to_south else HALF + aside
            if abs(aside) < HALF:
                return near, int(u), upright, True
        elif plan[row, column]:
            if upright:
                along = y + distance * dy
                u = (-along if to_east else along) % BLOCK
            else:
                along = x + distance * dx
                u = (-along if to_south else along) % BLOCK
            return distance, min(int(u), BLOCK - 1), upright, False
