"""The mazes' references: ``python -m rl2_vizdoom --help``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import tyro

from rl2_sb3.evaluation import standard_error
from rl2_vizdoom.oracle import BEAM, plan, play
from rl2_vizdoom.tasks import VizdoomMaze


@dataclass(kw_only=True)
class Lengths:
    """Steps to the goal in the engine, for a plan that knows the maze, and at random."""

    tasks: Annotated[VizdoomMaze, tyro.conf.arg(name="")] = field(
        default_factory=lambda: VizdoomMaze(split="test")
    )
    """What is played."""
    plans: int = 100
    """Mazes that are played by plan, at most."""
    random: int = 200
    """Episodes that are played at random."""
    beam: int = BEAM
    """Players that a plan follows at once."""
    seed: int = 0
    """Of the random actions."""


def main() -> None:
    """Print the mean lengths, failures counted at the horizon."""
    config = tyro.cli(Lengths, description=Lengths.__doc__)
    env = config.tasks.make_env()
    rng = np.random.default_rng(config.seed)
    exact, frame_skip = config.tasks.movement == "exact", config.tasks.frame_skip
    planned = [
        play(env, task, plan(env.mazes[task], exact, frame_skip, config.beam))
        for task in range(min(config.plans, len(env.mazes)))
    ]
    drawn = [
        play(env, task, (int(rng.integers(3)) for _ in range(env.horizon)))
        for task in (i % len(env.mazes) for i in range(config.random))
    ]
    env.close()
    for name, played in (("plan", planned), ("random", drawn)):
        if played:
            lengths, found = np.array(played).T
            error = standard_error(lengths)
            print(
                f"{name}: {len(lengths)} mazes, {lengths.mean():.1f} ± {error:.1f} steps, "
                f"{found.mean():.1%} reach the goal"
            )


if __name__ == "__main__":
    main()
