"""Mazes as Doom maps: all of a list in one WAD, in UDMF, with textures made here."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2_vizdoom.mazes import Block, Maze

BLOCK = 96
"""Side of a block in map units."""
CEILING, LIGHT, INSET = 104, 210, 1
TALL = 128
"""Height of the walls' textures: a power of two, or the engine reads a pixel beyond them."""
WALL, FLOOR, TOP, GOAL = "RL2WALL", "RL2FLOOR", "RL2TOP", "RL2GOAL"
Lump = tuple[str, bytes]
Point = tuple[int, int]

EXACT_PLAYER = """\
actor ExactPlayer : DoomPlayer
{
  Player.ForwardMove 6.144
  States
  {
  See:
    PLAY A 1
  Moving:
    PLAY A 1 A_ChangeVelocity(0, 0, 0, CVF_REPLACE)
    loop
  }
}
"""
EXACT_GAME = 'gameinfo { playerclasses = "ExactPlayer" }\n'


def map_name(index: int) -> str:
    """The name of the map of maze ``index``, at most 8 characters."""
    return f"M{index:07d}"


def centre(block: Block) -> tuple[float, float]:
    """Map coordinates of a block's centre: x to the east, y to the north, in units."""
    return (block[1] + 0.5) * BLOCK, -(block[0] + 0.5) * BLOCK


def write_wad(mazes: Sequence[Maze], exact: bool = False) -> bytes:
    """A PWAD with a map for each maze.

    :param exact: with the player of exact movement, in place of the engine's own
    """
    lumps: list[Lump] = []
    if exact:
        lumps += [("DECORATE", EXACT_PLAYER.encode()), ("MAPINFO", EXACT_GAME.encode())]
    lumps += [("TX_START", b""), *textures(), ("TX_END", b"")]
    for index, maze in enumerate(mazes):
        lumps += [(map_name(index), b""), ("TEXTMAP", textmap(maze).encode()), ("ENDMAP", b"")]
    return pack(lumps)


def pack(lumps: Iterable[Lump]) -> bytes:
    """Lumps in the WAD format: header, data, directory of offset, size and name."""
    contents, directory, offset = [], [], 12
    for name, content in lumps:
        directory.append(struct.pack("<ii8s", offset, len(content), name.encode()))
        contents.append(content)
        offset += len(content)
    return b"".join([struct.pack("<4sii", b"PWAD", len(directory), offset), *contents, *directory])


def textmap(maze: Maze) -> str:
    """A maze in UDMF, the Universal Doom Map Format.

    The free blocks are one sector. Around it run one-sided lines, the sector on their right.
    """
    x, y = (int(part) for part in centre(maze.goal))
    half = BLOCK // 2 - INSET
    corners = [
        (x - half, y - half),
        (x + half, y - half),
        (x + half, y + half),
        (x - half, y + half),
    ]
    pillar = [(corners[i - 1], corners[i], GOAL) for i in range(4)]
    lines = [(start, end, WALL) for start, end in outline(maze.walls)] + pillar
    vertices = {point: None for line in lines for point in line[:2]}
    number = {point: i for i, point in enumerate(vertices)}
    x, y = (int(part) for part in centre(maze.start))
    return "".join(
        [
            'namespace="zdoom";',
            *(f"vertex{{x={x}.0;y={y}.0;}}" for x, y in vertices),
            *(
                f"linedef{{v1={number[a]};v2={number[b]};sidefront={i};blocking=true;}}"
                for i, (a, b, _) in enumerate(lines)
            ),
            *(f'sidedef{{sector=0;texturemiddle="{texture}";}}' for _, _, texture in lines),
            f"sector{{heightfloor=0;heightceiling={CEILING};lightlevel={LIGHT};"
            f'texturefloor="{FLOOR}";textureceiling="{TOP}";}}',
            f"thing{{x={x}.0;y={y}.0;angle=0;type=1;single=true;skill1=true;}}",
        ]
    )


def outline(walls: NDArray[np.bool_]) -> list[tuple[Point, Point]]:
    """Lines around the free blocks, which lie to the right of each, in map units."""
    lines: list[tuple[Point, Point]] = []
    for lies_east_west in (True, False):
        plan = walls if lies_east_west else walls.T
        for k in range(1, len(plan)):
            for free_after in (True, False):
                free, wall = (plan[k], plan[k - 1]) if free_after else (plan[k - 1], plan[k])
                for first, last in _runs(wall & ~free):
                    if lies_east_west:
                        line = (first * BLOCK, -k * BLOCK), (last * BLOCK, -k * BLOCK)
                    else:
                        line = (k * BLOCK, -last * BLOCK), (k * BLOCK, -first * BLOCK)
                    lines.append(line if free_after else line[::-1])
    return lines


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First index of each run of true, and the index behind its last."""
    steps = np.diff(mask.astype(np.int8), prepend=0, append=0)
    first, last = (np.flatnonzero(steps == sign).tolist() for sign in (1, -1))
    return list(zip(first, last, strict=True))


def textures() -> list[Lump]:
    """PNG textures. The engine shows the nearest of its 256 colours: grey has the most shades.

    The walls' grain and their dark edges show corners even at 40x30.
    """
    rng = np.random.default_rng(0)

    def grain(size: tuple[int, int], colour: tuple[int, int, int], spread: int) -> NDArray[np.int_]:
        coarse = rng.integers(-spread, spread + 1, (size[0] // 8, size[1] // 8, 1))
        return np.asarray(np.kron(coarse, np.ones((8, 8, 1), np.int_)) + colour)

    wall = grain((TALL, BLOCK), (150, 150, 150), 20)
    wall[CEILING // 2 - 2 : CEILING // 2 + 2] = 70
    wall[:, :5] = wall[:, -5:] = 50
    blue_green_red = {
        WALL: wall,
        FLOOR: grain((64, 64), (43, 79, 119), 6),
        TOP: grain((64, 64), (120, 40, 40), 0),
        GOAL: grain((TALL, BLOCK), (10, 10, 220), 10),
    }
    return [
        (name, cv2.imencode(".png", np.clip(image, 0, 255).astype(np.uint8))[1].tobytes())
        for name, image in blue_green_red.items()
    ]
