"""The engine's view in arrays: rays for each column, and what they meet row by row.

The same screen, field of view, textures, palette, light and bobbing eyes. Along a ray's column the
textures' means are exact, from sums over their rows; two rays make a column of the image, or four
where these two meet different things.
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
from numpy.typing import NDArray

from rl2_vizdoom.field import Floats
from rl2_vizdoom.motion import HALF, compiled
from rl2_vizdoom.wad import BLOCK, CEILING, FLOOR, GOAL, INSET, LIGHT, TOP, WALL, textures

ROWS, COLUMNS = 30, 40
EYE = 41.0
"""Units above the floor."""
BOB_TICS, BOB, MOST_BOB, BEGUN = 20, 0.25, 16.0, 9
"""Tics in which eyes bob once, units per squared velocity, their most, and the phase in tics."""
PIXELS = 4
"""Rows and columns of the engine's screen in one of the image's."""
WIDE, TALL = 80.0, 96.0
"""Focal lengths in the engine's pixels: 90 degrees in 160 columns, pixels 1.2 times as high."""
LEFT, HIGH = 80.0, 59.5
"""Pixels to the left of the middle, to the first column's ray, and above the horizon."""
CONTRAST = 2
"""Shades that walls along the y axis are lighter, and along the x axis darker."""
NEAR, SHADES = 1280.0, 24.0
"""Units times the shades that nearness saves, and the most of them."""
SHADE = 64 - (LIGHT + 12) / 4
"""Of what is far away; of 32, the highest is black."""
WEIGHT = 16
"""Parts of a ray's pixel, in which the floor's share of it is counted."""
ALL = WEIGHT * PIXELS
"""Parts of a pixel of the image, of which each ray adds up its share."""

Singles = NDArray[np.float32]


class Look(NamedTuple):
    """The textures in the engine's colours, by their 32 shades. All but the floor have one part."""

    strips: NDArray[np.int64]  # (2, 96): of the wall's and the goal's columns, by their likeness
    sums: Singles  # (32, strips, 129) over the rows from the top, of grey or of red
    top: Singles  # (32,) blue of the ceiling
    floor: NDArray[np.int64]  # (32, 64, 64): red + 2^16 green + 2^32 blue, to be added up


@lru_cache(maxsize=1)
def look() -> Look:
    """What the engine makes of the textures: the nearest of its colours to 5 bits of each part."""
    spec = find_spec("vizdoom")
    assert spec is not None
    assert spec.origin is not None
    lumps = _lumps(Path(spec.origin).with_name("freedoom2.wad"), ("PLAYPAL", "COLORMAP"))
    palette = np.frombuffer(lumps["PLAYPAL"][:768], np.uint8).reshape(256, 3).astype(np.int64)
    shades = np.frombuffer(lumps["COLORMAP"][: 32 * 256], np.uint8).reshape(32, 256)
    shown = {}
    for name, content in textures():
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        five = np.asarray(image, np.int64)[..., ::-1] >> 3
        off = (five << 3 | five >> 2)[..., None, :] - palette
        shown[name] = palette[shades[:, (off**2).sum(-1).argmin(-1)]]  # (32, rows, columns, 3)
    sides = np.concatenate([shown[name][..., 0] for name in (WALL, GOAL)], 2)
    first = np.flatnonzero((np.diff(sides, axis=2, prepend=-1) != 0).any((0, 1)))
    strips = np.searchsorted(first, np.arange(sides.shape[2]), "right") - 1
    sums = np.zeros((32, len(first), sides.shape[1] + 1), np.float32)
    sums[..., 1:] = sides[..., first].cumsum(1).transpose(0, 2, 1)
    return Look(
        strips.reshape(2, BLOCK),
        sums,
        shown[TOP][:, 0, 0, 2].astype(np.float32),
        (shown[FLOOR] << (0, 16, 32)).sum(-1),
    )


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


@compiled
def _shade(contrast: int, distance: float) -> int:
    return min(max(floor(SHADE + contrast - min(SHADES, NEAR / distance)), 0), 31)


@compiled
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
    strips, sums, tops, floors = textures
    n = len(mazes)
    image = np.empty((n, ROWS, COLUMNS, 3), np.uint8)
    shade, top = np.empty(ROWS, np.int64), np.empty(ROWS)
    far = np.empty((ROWS, PIXELS))  # distance of the floor, by rows of the engine
    parts = np.empty((3, ROWS))  # sums of walls' grey, the goal's red and the ceiling's blue
    earth = np.empty(ROWS, np.int64)  # and of the floor
    mean = np.empty((3, ROWS), np.int32)
    for i in range(n):
        plan, goal = walls[mazes[i]], goals[mazes[i]]
        x, y, height = place[i, 0], place[i, 1], eye[i]
        x_ahead, y_ahead = cos(radians(angle[i])), sin(radians(angle[i]))
        for row in range(ROWS):
            down = PIXELS * (row + 0.5) - HIGH
            shade[row] = _shade(0, (height if down > 0 else height - CEILING) * TALL / down)
            top[row] = tops[shade[row]]
            for pixel in range(PIXELS):
                far[row, pixel] = height * TALL / max(PIXELS * row + pixel + 0.5 - HIGH, 0.5)
        for column in range(COLUMNS):
            parts[:] = 0
            earth[:] = 0
            right = (column * PIXELS - LEFT) / WIDE
            dx, dy = x_ahead + y_ahead * right, y_ahead - x_ahead * right
            x_more, y_more = y_ahead / WIDE, -x_ahead / WIDE  # from ray to ray
            begin, strip, upright = _meet(plan, goal, x, y, dx, dy, strips)
            dx_end, dy_end = dx + 3 * x_more, dy + 3 * y_more
            end, other, aside = _meet(plan, goal, x, y, dx_end, dy_end, strips)
            apart = begin * dx - end * dx_end if upright else begin * dy - end * dy_end
            same_wall = strip == other and upright == aside and abs(apart) < INSET / 2
            rays = 1 if same_wall else PIXELS
            distance = (begin + end) / 2
            if rays == 1:
                dx, dy = dx + 1.5 * x_more, dy + 1.5 * y_more
            for ray in range(rays):
                if rays > 1:
                    distance, strip, upright = _meet(plan, goal, x, y, dx, dy, strips)
                weight = PIXELS // rays
                lit = _shade(-CONTRAST if upright else CONTRAST, distance)
                part = int(strip >= strips[1, 0])
                scale = PIXELS * distance / TALL  # units in a row
                ceiling = (height - CEILING) / scale + HIGH / PIXELS  # rows from the top
                ground = height / scale + HIGH / PIXELS
                first, last = int(max(ceiling, 0.0)), int(min(ground, ROWS - 1e-9))
                for row in range(first):
                    parts[2, row] += weight * top[row]
                if ceiling > 0:
                    parts[2, first] += weight * top[first] * (ceiling - first)
                edge = (first - ceiling) * scale
                before = _sum(sums, lit, strip, max(-ceiling * scale, 0.0))
                for row in range(first, last + 1):
                    edge += scale
                    upto = _sum(sums, lit, strip, min(edge, float(CEILING)))
                    parts[part, row] += weight / scale * (upto - before)
                    before = upto
                for row in range(last, ROWS):
                    z = far[row, (2 * (column + ray) + row) % PIXELS]
                    seen = floors[shade[row], int(-y - dy * z) & 63, int(x + dx * z) & 63]
                    bare = min(max(row + 1 - ground, 0.0), 1.0)
                    earth[row] += weight * int(WEIGHT * bare + 0.5) * seen
                dx, dy = dx + x_more, dy + y_more
            for row in range(ROWS):
                grey, floor_sum = parts[0, row] / PIXELS + 0.5, earth[row]
                red = parts[1, row] / PIXELS + (floor_sum & 0xFFFF) / ALL
                blue = parts[2, row] / PIXELS + (floor_sum >> 32) / ALL
                mean[0, row] = np.int32(grey + red)
                mean[1, row] = np.int32(grey + ((floor_sum >> 16) & 0xFFFF) / ALL)
                mean[2, row] = np.int32(grey + blue)
            for row in range(ROWS):
                for part in range(3):
                    image[i, row, column, part] = np.uint8(mean[part, row])
    return image


@compiled
def _sum(sums: Singles, lit: int, strip: int, v: float) -> float:
    """A strip's sum from its top to ``v`` units below; unsigned indices are faster."""
    whole = np.uint32(v)
    before = sums[lit, strip, whole]
    rest = v - np.float64(np.int64(whole))
    return float(before + rest * (sums[lit, strip, whole + np.uint32(1)] - before))


@compiled
def _meet(
    plan: NDArray[np.bool_],
    goal: Floats,
    x: float,
    y: float,
    dx: float,
    dy: float,
    strips: NDArray[np.int64],
) -> tuple[float, int, bool]:
    """What a ray meets first.

    :return: distance in the direction that the player faces, strip of the texture, and whether
        the wall runs along the y axis
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
                return near, strips[1, int(u)], upright
        elif plan[row, column]:
            if upright:
                along = y + distance * dy
                u = (-along if to_east else along) % BLOCK
            else:
                along = x + distance * dx
                u = (-along if to_south else along) % BLOCK
            return distance, strips[0, min(int(u), BLOCK - 1)], upright
