"""Pictures for Table 3's report: ``python -m rl2_paper.table3.pictures --help``.

What the agent sees and two mazes, as in the paper's Figure 4; ways that an agent goes in the first
two episodes of a trial, good ones and bad ones, as in its Figure 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch as th
import tyro
from rl2_vizdoom.env import MazeEnv
from rl2_vizdoom.mazes import Maze
from rl2_vizdoom.picture import Image, Point, plan
from rl2_vizdoom.tasks import VizdoomMaze
from tqdm import tqdm

from rl2_paper.options import home
from rl2_sb3 import TrialWrapper, load_agent
from rl2_sb3.config import Count, Seed
from rl2_sb3.evaluation import Predictor
from rl2_sb3.plots.style import drawing
from rl2_sb3.ranges import check_config

KINDS = 3
"""Good trials that are shown, and bad ones."""


class Trial(NamedTuple):
    """Two episodes in a maze."""

    maze: Maze
    ways: list[list[Point]]
    lengths: list[int]
    found: list[bool]

    @property
    def won(self) -> int:
        """Steps by which the second episode was shorter; one that failed took all there are."""
        return self.lengths[0] - self.lengths[1]


@dataclass(kw_only=True)
class Figures:
    """Write table3_mazes.png and table3_ways.png."""

    agent: Annotated[str, tyro.conf.Positional]
    """A run's folder, an agent's file, or a checkpoint's name."""
    trials: Count = 200
    """Small test mazes that are played; the good and the bad ones of these are shown."""
    seed: Seed = 0
    """Of the actions."""
    out: Path = field(default_factory=lambda: home() / "docs")
    """Folder of the pictures."""


def main() -> None:
    """Play and draw."""
    config = tyro.cli(Figures, description=__doc__)
    check_config(config)
    agent = load_agent(config.agent)
    tasks = VizdoomMaze(split="test")
    env = tasks.make_env()
    numbers = tqdm(range(min(config.trials, len(env.mazes))), "trials")
    try:
        with th.random.fork_rng():
            th.manual_seed(config.seed)
            played = [play(agent, env, tasks, number) for number in numbers]
        seen, _ = env.reset(options={"task": 0})
    finally:
        env.close()
    large = VizdoomMaze(size="large", split="test").plans()[0]
    print(mazes_figure(seen, tasks.plans()[0], large, config.out / "table3_mazes.png"))
    print(ways_figure(played, config.out / "table3_ways.png"))


def play(agent: Predictor, env: MazeEnv, tasks: VizdoomMaze, number: int) -> Trial:
    """Play a trial of two episodes; one that is lost is played again."""
    trial = TrialWrapper(env, 2, tasks, order=[number])
    obs, _ = trial.reset(seed=number)
    state: Any = None
    over, lengths, found = False, [], []
    while not over:
        action, state = agent.predict(obs, state)
        obs, _, over, lost, info = trial.step(action)
        if "is_success" in info:
            lengths.append(info["length"])
            found.append(info["is_success"])
        if lost:
            (obs, _), state, lengths, found = trial.reset(), None, [], []
    return Trial(env.maze, [list(way) for way in env.ways[-2:]], lengths, found)


def mazes_figure(seen: Image, small: Maze, large: Maze, out: Path) -> Path:
    """Draw an observation, and the plans of a small and a large maze."""
    with drawing(out, 9, 3) as figure:
        pictures = {
            "What the agent sees, 40x30": seen,
            "Small: 3x3 nodes": plan(small, []),
            "Large: 5x5 nodes": plan(large, []),
        }
        for (words, picture), axes in zip(pictures.items(), figure.subplots(1, 3), strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_title(words)
            axes.set_axis_off()
    return out


def chosen(played: Sequence[Trial]) -> tuple[list[Trial], list[Trial]]:
    """Trials that won most in their second episode, both found; and those that lost most."""
    good = sorted((t for t in played if all(t.found) and t.won > 0), key=lambda t: -t.won)
    bad = sorted((t for t in played if t.won < 0), key=lambda t: t.won)
    return good[:KINDS], bad[:KINDS]


def ways_figure(played: Sequence[Trial], out: Path) -> Path:
    """Draw the ways of good trials and bad ones: see :func:`chosen`."""
    good, bad = chosen(played)
    with drawing(out, 2.4 * KINDS, 9) as figure:
        parts = figure.subfigures(2, 1, squeeze=False).flat
        words = "Good: the goal is remembered", "Bad: the second episode is longer"
        for part, title, trials in zip(parts, words, (good, bad), strict=True):
            part.suptitle(title, weight="bold")
            panels = part.subplots(2, KINDS, squeeze=False)
            for axes in panels.flat:
                axes.set_axis_off()
            for column, trial in enumerate(trials):
                for episode in range(2):
                    axes = panels[episode, column]
                    axes.imshow(plan(trial.maze, trial.ways[episode : episode + 1]))
                    end = "" if trial.found[episode] else ", not found"
                    steps = f"episode {episode + 1}: {trial.lengths[episode]} steps{end}"
                    axes.set_title(steps, size=9, weight="normal")
    return out


if __name__ == "__main__":
    main()
