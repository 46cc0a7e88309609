"""The pictures of Table 3: which trials are shown, and what they show."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rl2_vizdoom")

from PIL import Image
from rl2_paper.table3.pictures import KINDS, Trial, chosen, mazes_figure, play, ways_figure
from rl2_vizdoom.mazes import split_mazes
from rl2_vizdoom.oracle import plan
from rl2_vizdoom.tasks import VizdoomMaze
from rl2_vizdoom.wad import centre


class Planner:
    """Goes by a list of actions, the same in each episode."""

    def __init__(self, actions: list[int]):
        self.actions = actions

    def predict(self, observation: Any, state: Any = None, *_: Any) -> tuple[Any, Any]:
        place = 0 if state is None or observation["done"][0] else state + 1
        return self.actions[place], place


def test_a_trial_is_played_and_its_ways_are_kept() -> None:
    tasks = VizdoomMaze(mazes=3, split="test")
    env = tasks.make_env()
    try:
        actions = plan(env.mazes[2])
        trial = play(Planner(actions), env, tasks, 2)
    finally:
        env.close()
    first, second = trial.lengths
    assert first == second <= len(actions)
    assert trial.won == 0
    assert trial.found == [True, True]
    assert trial.maze is env.mazes[2]
    assert [len(way) for way in trial.ways] == [first + 1, first + 1]
    assert trial.ways[0] == trial.ways[1]
    assert trial.ways[0][0] == centre(trial.maze.start)


def test_good_trials_win_and_bad_ones_lose(tmp_path: Path) -> None:
    maze = split_mazes(3, "test", 1)[0]
    way = [centre(maze.start)]

    def trial(first: int, second: int, *found: bool) -> Trial:
        return Trial(maze, [way, way], [first, second], list(found or (True, True)))

    trials = [trial(100 - 10 * k, 50) for k in range(8)] + [trial(250, 20, False, True)]
    good, bad = chosen(trials)
    assert [t.won for t in good] == [50, 40, 30]
    assert [t.won for t in bad] == [-20, -10]
    assert chosen([trial(50, 60)]) == ([], [trial(50, 60)])
    sizes = set()
    for played in (trials, trials[-1:]):
        with Image.open(ways_figure(played, tmp_path / "ways.png")) as picture:
            sizes.add(picture.size)
    assert len(sizes) == 1
    assert KINDS == 3
    seen = np.zeros((30, 40, 3), np.uint8)
    with Image.open(mazes_figure(seen, maze, maze, tmp_path / "mazes.png")) as picture:
        assert picture.width > 2 * picture.height
