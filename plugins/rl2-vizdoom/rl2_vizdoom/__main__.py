"""The mazes' references: ``python -m rl2_vizdoom --help``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from rl2_sb3.evaluation import Evaluation, standard_error
from rl2_sb3.reports.successes import (
    KEPT,
    in_words,
    keep_successes,
    success_rows,
    successes_table,
)
from rl2_sb3.reports.tables import own_table
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
    append_to: Path | None = None
    """Table of results, such as results/table3.csv: beside it, in table3-successes.csv, the lengths
    are kept as those of a first episode, of who is called plan and random."""


def main() -> None:
    """Print the mean lengths, failures counted at the horizon."""
    config = tyro.cli(Lengths, description=Lengths.__doc__)
    if config.append_to is not None:
        own_table(successes_table(config.append_to), KEPT)  # or an error, before all the work
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
            if config.append_to is not None:
                _keep(config, name, lengths, found)
            print(
                f"{name}: {len(lengths)} mazes, {lengths.mean():.1f} ± {error:.1f} steps, "
                f"{found.mean():.1%} reach the goal"
            )


def _keep(config: Lengths, name: str, lengths: NDArray[Any], found: NDArray[Any]) -> None:
    """Write what was played beside a table of results."""
    shape = len(lengths), 1
    played = Evaluation(np.zeros(shape), lengths.reshape(shape), found.reshape(shape))
    options = in_words(asdict(config.tasks))
    assert config.append_to is not None
    conditions = "vizdoom-maze", options, 1, False, config.seed
    keep_successes(config.append_to, success_rows({name: played}), conditions)


if __name__ == "__main__":
    main()
