"""Mazes of whole blocks: Prim's algorithm, shortest paths, and splits with nothing in common."""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Block = tuple[int, int]
"""Row and column in the plan, the border included; row 0 is the northernmost."""

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
ASIDE: tuple[Block, ...] = ((0, 1), (1, 0), (0, -1), (-1, 0))
PATIENCE = 2000  # mazes drawn without finding a new one before giving up


@dataclass(frozen=True, eq=False)
class Maze:
    """A maze's plan; two mazes are the same where their texts are."""

    walls: NDArray[np.bool_]
    """``(rows, columns)``, true where a block is wall; the border is."""
    start: Block
    """Where an episode begins, facing east."""
    goal: Block
    """The red block, which ends an episode when the agent touches it."""

    @classmethod
    def parse(cls, text: str) -> Maze:
        """Read a plan as ``str(maze)`` writes it.

        :param text: lines of ``#`` (wall), ``.`` (free), one ``S`` (start) and one ``G`` (goal)
        :raises ValueError: other characters, lines of several lengths, an open border, or a start
            or a goal that is not there once
        """
        lines = text.split()
        cells = np.array([list(line.ljust(max(map(len, lines)), "?")) for line in lines])
        for sign in "SG":
            if (cells == sign).sum() != 1:
                raise ValueError(f"{text!r} has {text.count(sign)} {sign!r}: it needs one.")
        border = np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]])
        if not np.isin(cells, list("#.SG")).all() or (border != "#").any():
            raise ValueError(
                f"{text!r}: use '#', '.', 'S', 'G', lines of one length, a '#' border."
            )
        (start,), (goal,) = np.argwhere(cells == "S"), np.argwhere(cells == "G")
        return cls(cells == "#", (int(start[0]), int(start[1])), (int(goal[0]), int(goal[1])))

    def __str__(self) -> str:
        cells = np.where(self.walls, "#", ".")
        cells[self.start], cells[self.goal] = "S", "G"
        return "\n".join("".join(row) for row in cells)

    def shortest_path(self) -> list[Block]:
        """The blocks from the start to the goal, both included, by breadth-first search.

        :raises ValueError: no path
        """
        before: dict[Block, Block] = {self.goal: self.goal}
        ahead = deque([self.goal])
        while ahead and self.start not in before:
            block = ahead.popleft()
            for down, right in ASIDE:
                other = block[0] + down, block[1] + right
                if other not in before and not self.walls[other]:
                    before[other] = block
                    ahead.append(other)
        if self.start not in before:
            raise ValueError(f"No path leads from start to goal:\n{self}")
        path = [self.start]
        while path[-1] != self.goal:
            path.append(before[path[-1]])
        return path


def draw_maze(nodes: int, rng: np.random.Generator) -> Maze:
    """Draw a perfect maze by Prim's algorithm, with distinct uniform nodes as start and goal.

    Nodes lie in every other block: ``nodes`` x ``nodes`` of them make a plan of ``2 * nodes + 1``
    blocks a side, walls and border included.
    """
    size = 2 * nodes + 1
    walls = np.ones((size, size), np.bool_)
    first = rng.integers(nodes, size=2)
    inside: set[Block] = set()
    edges: list[tuple[Block, Block]] = []

    def enter(node: Block) -> None:
        inside.add(node)
        walls[2 * node[0] + 1, 2 * node[1] + 1] = False
        for down, right in ASIDE:
            other = node[0] + down, node[1] + right
            if 0 <= other[0] < nodes and 0 <= other[1] < nodes and other not in inside:
                edges.append((node, other))

    enter((int(first[0]), int(first[1])))
    while edges:
        chosen = int(rng.integers(len(edges)))
        edges[chosen], edges[-1] = edges[-1], edges[chosen]
        node, other = edges.pop()
        if other not in inside:
            walls[node[0] + other[0] + 1, node[1] + other[1] + 1] = False
            enter(other)
    start, goal = (2 * np.array(np.divmod(rng.choice(nodes**2, 2, replace=False), nodes)) + 1).T
    return Maze(walls, (int(start[0]), int(start[1])), (int(goal[0]), int(goal[1])))


@lru_cache(maxsize=8)
def split_mazes(nodes: int, split: Split, count: int) -> tuple[Maze, ...]:
    """The first ``count`` distinct mazes of a split; always the same ones.

    Which split a maze is of depends on its plan alone, so no number of mazes makes two splits
    meet. A smaller ``count`` gives the beginning of a larger one.

    :raises ValueError: there are not as many mazes of this size
    """
    rng = np.random.default_rng([nodes, SPLITS.index(split)])
    mazes: dict[str, Maze] = {}
    vain = 0
    while len(mazes) < count:
        maze = draw_maze(nodes, rng)
        text = str(maze)
        new = text not in mazes and SPLITS[zlib.crc32(text.encode()) % 2] == split
        vain = 0 if new else vain + 1
        if vain == PATIENCE:
            raise ValueError(
                f"mazes={count}: only {len(mazes)} mazes of {nodes}x{nodes} nodes were found for "
                f"the split {split!r}. Use fewer, or larger mazes."
            )
        if new:
            mazes[text] = maze
    return tuple(mazes.values())
