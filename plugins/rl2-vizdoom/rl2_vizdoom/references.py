"""References for agents in mazes: a plan that knows the maze, and random play; an episode each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl2_sb3.evaluation import Evaluation
from rl2_vizdoom.oracle import BEAM, plan, play
from rl2_vizdoom.tasks import VizdoomMaze


def planned(tasks: VizdoomMaze, mazes: int, beam: int = BEAM) -> Evaluation:
    """What plans reach in the engine.

    :param mazes: that are played, at most
    :param beam: players that a plan follows at once
    """
    env = tasks.make_env()
    exact, frame_skip = tasks.movement == "exact", tasks.frame_skip
    played = [
        play(env, task, plan(env.mazes[task], exact, frame_skip, beam))
        for task in range(min(mazes, len(env.mazes)))
    ]
    env.close()
    return _evaluation(played)


def random_play(tasks: VizdoomMaze, episodes: int, seed: int = 0) -> Evaluation:
    """What random actions reach.

    :param episodes: that are played, each in the next maze
    """
    env = tasks.make_env()
    rng = np.random.default_rng(seed)
    played = [
        play(env, task, (int(rng.integers(3)) for _ in range(env.horizon)))
        for task in (i % len(env.mazes) for i in range(episodes))
    ]
    env.close()
    return _evaluation(played)


def _evaluation(played: Sequence[tuple[int, bool]]) -> Evaluation:
    """Lengths and successes; no returns."""
    lengths, found = np.array(played).reshape(-1, 2).T
    zeros = np.zeros((len(played), 1))
    return Evaluation(zeros, lengths.reshape(-1, 1), found.reshape(-1, 1).astype(float))
