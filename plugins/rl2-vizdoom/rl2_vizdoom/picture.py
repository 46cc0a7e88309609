"""What a watcher sees: the player's view, and the maze's plan with the ways that were gone."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2_vizdoom.mazes import Maze
from rl2_vizdoom.wad import BLOCK, centre

Image = NDArray[np.uint8]
Point = tuple[float, float]

HEIGHT = 240
"""Pixels, of the view and of the plan."""
FREE, WALL, GOAL = (255, 255, 255), (90, 90, 90), (220, 10, 10)
EARLIER, NOW, PLAYER = (170, 190, 225), (30, 90, 200), (10, 30, 90)


def draw(observation: Image, maze: Maze, ways: Sequence[Sequence[Point]], angle: float) -> Image:
    """The view beside the plan, ``(HEIGHT, width, 3)``.

    :param ways: where the player was in each episode, in the map's units; the last is of now
    :param angle: of the player, in degrees counterclockwise from the east
    """
    view = cv2.resize(observation, (HEIGHT * 4 // 3, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return np.concatenate([view, plan(maze, ways, angle)], axis=1).astype(np.uint8)


def plan(maze: Maze, ways: Sequence[Sequence[Point]], angle: float | None = None) -> Image:
    """The maze from above, ``(HEIGHT, HEIGHT * columns / rows, 3)``, north up.

    :param ways: see :func:`draw`
    :param angle: draws the player at the last way's end, looking there
    """
    blocks = np.where(maze.walls[..., None], WALL, FREE).astype(np.uint8)
    blocks[maze.goal] = GOAL
    scale = HEIGHT / len(blocks) / BLOCK
    size = round(HEIGHT * blocks.shape[1] / len(blocks)), HEIGHT
    image = cv2.resize(blocks, size, interpolation=cv2.INTER_NEAREST)

    def pixel(point: Point) -> tuple[int, int]:
        return round(point[0] * scale), round(-point[1] * scale)

    cv2.circle(image, pixel(centre(maze.start)), 4, NOW, 1, cv2.LINE_AA)
    for way in ways:
        points = np.array([pixel(point) for point in way], np.int32)
        colour = NOW if way is ways[-1] else EARLIER
        cv2.polylines(image, [points], False, colour, 2, cv2.LINE_AA)
    if angle is not None and ways and ways[-1]:
        x, y = ways[-1][-1]
        nose = x + 30 * np.cos(np.radians(angle)), y + 30 * np.sin(np.radians(angle))
        cv2.arrowedLine(image, pixel((x, y)), pixel(nose), PLAYER, 2, cv2.LINE_AA, 0, 0.5)
    return np.asarray(image, np.uint8)
