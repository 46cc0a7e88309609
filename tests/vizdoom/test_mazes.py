"""Mazes: perfect, split for good, and written as maps that parse back."""

import struct
import zlib
from itertools import permutations, product

import numpy as np
import pytest

pytest.importorskip("rl2_vizdoom")

from rl2_vizdoom.mazes import ASIDE, Maze, Split, draw_maze, split_mazes
from rl2_vizdoom.wad import BLOCK, map_name, outline, textmap, write_wad

RING = Maze.parse("#####\n#S..#\n#.#.#\n#..G#\n#####")


@pytest.mark.parametrize("nodes", [2, 3, 5, 8])
def test_mazes_are_trees_of_all_nodes(nodes: int) -> None:
    """Connected, with one corridor less than nodes: so there is one way between any two."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        maze = draw_maze(nodes, rng)
        free = {(int(row), int(column)) for row, column in np.argwhere(~maze.walls)}
        assert maze.walls.shape == (2 * nodes + 1,) * 2
        assert set(product(range(1, 2 * nodes, 2), repeat=2)) <= free
        assert len(free) == 2 * nodes**2 - 1
        found, ahead = {maze.start}, [maze.start]
        while ahead:
            row, column = ahead.pop()
            beside = {(row + down, column + right) for down, right in ASIDE}
            ahead += (beside & free) - found
            found |= beside & free
        assert found == free
        assert maze.start != maze.goal
        assert all(side % 2 for side in maze.start + maze.goal)


def test_start_and_goal_are_uniform() -> None:
    mazes = split_mazes(3, "train", 1000)
    for place in ("start", "goal"):
        _, counts = np.unique([getattr(maze, place) for maze in mazes], axis=0, return_counts=True)
        assert len(counts) == 9
        assert abs(counts - 1000 / 9).max() < 5 * (1000 * 8 / 81) ** 0.5


@pytest.mark.parametrize("nodes", [3, 5])
def test_splits_have_nothing_in_common_and_are_always_the_same(nodes: int) -> None:
    splits: tuple[Split, ...] = ("train", "test")
    train, test = (list(map(str, split_mazes(nodes, split, 1000))) for split in splits)
    assert len(set(train)) == len(set(test)) == 1000
    assert not set(train) & set(test)
    split_mazes.cache_clear()
    assert list(map(str, split_mazes(nodes, "train", 10))) == train[:10]


def test_the_first_maze_is_known() -> None:
    """Results are of these mazes: what draws others breaks them."""
    drawn = str(split_mazes(3, "train", 1)[0]).split()
    assert drawn == ["#######", "#...#S#", "###.#.#", "#G#...#", "#.#.###", "#.....#", "#######"]


def test_the_shortest_path_is_the_shorter_of_two() -> None:
    assert len(RING.shortest_path()) == 5
    maze = Maze.parse("#######\n#S...G#\n#.###.#\n#.....#\n#######")
    assert maze.shortest_path() == [(1, column) for column in range(1, 6)]
    with pytest.raises(ValueError, match="No path"):
        Maze.parse("#####\n#S#G#\n#####").shortest_path()


def test_a_plan_reads_as_it_is_written() -> None:
    maze = draw_maze(4, np.random.default_rng(1))
    again = Maze.parse(str(maze))
    assert str(again) == str(maze)
    assert (again.start, again.goal) == (maze.start, maze.goal)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("####\n#S.#\n####", "0 'G'"),
        ("####\n#SG.\n####", "border"),
        ("#####\n#SG#\n#####", "one length"),
        ("#####\n#SxG#\n#####", "use '#'"),
    ],
)
def test_plans_that_are_none_are_refused(plan: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Maze.parse(plan)


def test_more_mazes_than_there_are_is_refused() -> None:
    """2x2 nodes have 4 trees, and 12 pairs of start and goal."""
    there = 0
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        with pytest.raises(ValueError, match=r"mazes=48: only \d+ mazes of 2x2 nodes") as error:
            split_mazes(2, split, 48)
        there += int(str(error.value).split()[2])
    assert there == 48


def test_lines_run_around_the_free_blocks_with_them_on_their_right() -> None:
    """By the shoelace formula: clockwise around the outside, the other way around the pillar."""
    lines = outline(RING.walls)
    area = sum(x * b - a * y for (x, y), (a, b) in lines) / 2
    assert area == -(9 - 1) * BLOCK**2
    assert len(lines) == 8
    assert sorted(start for start, _ in lines) == sorted(end for _, end in lines)


def test_a_wad_parses_back() -> None:
    mazes = split_mazes(3, "train", 3)
    wad = write_wad(mazes)
    magic, count, offset = struct.unpack_from("<4sii", wad)
    assert magic == b"PWAD"
    assert len(wad) == offset + 16 * count
    lumps = []
    for i in range(count):
        begin, size, name = struct.unpack_from("<ii8s", wad, offset + 16 * i)
        lumps.append((name.rstrip(b"\0").decode(), wad[begin : begin + size]))
    names = [name for name, _ in lumps]
    assert names[0] == "TX_START"
    assert names[5] == "TX_END"
    assert all(image.startswith(b"\x89PNG") for _, image in lumps[1:5])
    for i, maze in enumerate(mazes):
        at = names.index(map_name(i))
        assert names[at : at + 3] == [map_name(i), "TEXTMAP", "ENDMAP"]
        assert lumps[at + 1][1].decode() == textmap(maze)
    exact = write_wad(mazes, exact=True)
    assert b"DECORATE" in exact
    assert b"DECORATE" not in wad


def test_a_map_has_the_start_and_the_goal_in_their_places() -> None:
    text = textmap(RING)
    assert "thing{x=144.0;y=-144.0;angle=0;type=1;" in text
    for x, y in ((289, -289), (383, -289), (383, -383), (289, -383)):  # with an inset of 1
        assert f"vertex{{x={x}.0;y={y}.0;}}" in text
    assert text.count("RL2GOAL") == 4


def test_how_much_small_test_mazes_have_in_common_with_those_for_training() -> None:
    """As the pages of Table 3 tell."""
    tests = [(maze.walls.tobytes(), maze.goal) for maze in split_mazes(3, "test", 1000)]
    for count, common in ((1000, 509), (6500, 997)):
        known = {(maze.walls.tobytes(), maze.goal) for maze in split_mazes(3, "train", count)}
        assert sum(test in known for test in tests) == common
    plans = {maze.walls.tobytes(): maze.walls for maze in split_mazes(3, "train", 6500)}
    assert len(plans) == 192
    nodes = [(int(row), int(column)) for row, column in product((1, 3, 5), repeat=2)]
    texts = [str(Maze(walls, *ends)) for walls in plans.values() for ends in permutations(nodes, 2)]
    assert sum(zlib.crc32(text.encode()) % 2 == 0 for text in texts) == 6912  # of the first split
