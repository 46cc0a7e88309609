"""The options of `rl2 benchmark` and `rl2 report`, and the folders that they have by default."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl2_sb3.config import Count, Seed

TableName = Literal["table1", "table2", "table3"]


def home() -> Path:
    """This distribution's folder where it is installed editable, else the current one."""
    folder = Path(__file__).parents[1]
    return folder if (folder / "pyproject.toml").exists() else Path()


@dataclass(kw_only=True)
class BenchmarkOptions:
    """Evaluate the agents of a table of the paper in all its settings, on the same tasks.

    table1 is the nine bandits: 5, 10 or 50 arms (k), 10, 100 or 500 pulls (n). table2 is the
    random tabular MDPs: 10, 25, 50, 75 or 100 episodes (n); its planning agents play with the prior
    of the paper's agents and with the true one. table3 is the mazes, small and large, and needs
    rl2-vizdoom. Actions are sampled. Tuned baselines take the parameters that `rl2 sweep` found on
    other tasks; trained agents are the installed ones, by name: bandit-k10-n10,
    bandit-k10-n100-privileged, bandit-k10-n100-imitation, bandit-k10-n100-imitation-rl,
    mdp-n10-privileged, maze-small-privileged and so on.

    Writes OUT/table1.csv, OUT/table1-adaptation.csv (regret of each pull; for table2 reward of each
    episode) and OUT/table1-gaps.csv (how often the best arm is found), for table3
    OUT/table3-successes.csv; `rl2 report` makes the report of them. Returns are cached in CACHE: an
    interrupted command resumes where it stopped.
    """

    table: Annotated[TableName, tyro.conf.Positional]
    """Table of the paper."""
    cells: list[str] = field(default_factory=list)
    """Settings, such as k10-n100, n100, or small; by default all."""
    agents: list[str] = field(default_factory=list)
    """Agents to evaluate, such as ucb1 rl2; by default all. For table1 and table2 this adds those
    that have a row in OUT, since all agents of a setting are tested against its best."""
    trials: Count | None = None
    """Trials of each agent in each cell; by default 10 000 bandits, 1000 MDPs, 1000 mazes."""
    seed: Seed = 0
    """Seed of tasks and noise; 0 is the test split, which no sweep uses."""
    workers: Count = os.cpu_count() or 1
    """Number of processes; for table3 of threads."""
    overwrite: bool = False
    """Evaluate again what is in the cache."""
    cache: Path | None = None
    """Folder of the cache, the returns of each trial; by default runs/TABLE."""
    sweeps: Path = field(default_factory=lambda: home() / "results" / "sweeps")
    """Folder of the sweeps' tables."""
    out: Path = field(default_factory=lambda: home() / "results")
    """Folder for the CSV files."""

    @property
    def cache_folder(self) -> Path:
        """Where what was played is kept."""
        return self.cache or Path("runs") / self.table


@dataclass(kw_only=True)
class ReportOptions:
    """Write the report of a table of the paper: DOCS/table1.md and its figures DOCS/table1*.png.

    table1 is the bandits, table2 the random tabular MDPs, table3 the mazes.

    All numbers come from the CSV files in RESULTS, which `rl2 benchmark` and `rl2 plot RUN ...
    --save RESULTS/learning_curves.csv` wrote: nothing is evaluated or trained.
    """

    table: Annotated[TableName, tyro.conf.Positional]
    """Table of the paper."""
    results: Path = field(default_factory=lambda: home() / "results")
    """Folder of the CSV files."""
    docs: Path = field(default_factory=lambda: home() / "docs")
    """Folder to write into."""
    readme: Path | None = None
    """Markdown file to update: what is between the lines <!-- table1 --> and <!-- /table1 --> is
    replaced by a short form of the table."""
