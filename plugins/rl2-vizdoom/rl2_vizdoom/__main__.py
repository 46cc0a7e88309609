"""The mazes' references: ``python -m rl2_vizdoom --help``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from rl2_sb3.config import Count, CountOrNone, Seed
from rl2_sb3.evaluation import Evaluation, standard_error
from rl2_sb3.ranges import check_config
from rl2_sb3.successes import check_successes, in_words, keep_successes, success_rows
from rl2_vizdoom.oracle import BEAM
from rl2_vizdoom.references import planned, random_play
from rl2_vizdoom.tasks import VizdoomMaze


@dataclass(kw_only=True)
class Lengths:
    """Steps to the goal in the engine, for a plan that knows the maze, and at random."""

    tasks: Annotated[VizdoomMaze, tyro.conf.arg(name="")] = field(
        default_factory=lambda: VizdoomMaze(split="test")
    )
    """What is played."""
    plans: CountOrNone = 100
    """Mazes that are played by plan, at most."""
    random: CountOrNone = 200
    """Episodes that are played at random."""
    beam: Count = BEAM
    """Players that a plan follows at once."""
    seed: Seed = 0
    """Of the random actions."""
    append_to: Path | None = None
    """Table of results, such as mazes.csv: beside it, in mazes-successes.csv, the lengths are kept
    as those of a first episode, of who is called plan and random."""


def main() -> None:
    """Print the mean lengths, failures counted at the horizon."""
    config = tyro.cli(Lengths, description=Lengths.__doc__)
    check_config(config)
    if config.append_to is not None:
        check_successes(config.append_to)
    played = {
        "plan": planned(config.tasks, config.plans, config.beam),
        "random": random_play(config.tasks, config.random, config.seed),
    }
    for name, result in played.items():
        lengths = result.lengths[:, 0].astype(float)
        if len(lengths):
            if config.append_to is not None:
                _keep(config, config.append_to, name, result)
            print(
                f"{name}: {len(lengths)} mazes, {lengths.mean():.1f} ± "
                f"{standard_error(lengths):.1f} steps, {result.successes.mean():.1%} reach the goal"
            )


def _keep(config: Lengths, table: Path, name: str, result: Evaluation) -> None:
    """Write what was played beside a table of results."""
    conditions = "vizdoom-maze", in_words(asdict(config.tasks)), 1, False, config.seed
    keep_successes(table, success_rows({name: result}), conditions)


if __name__ == "__main__":
    main()
