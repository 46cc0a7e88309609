"""The options of `rl2 benchmark` and `rl2 report`, and the folders that they have by default."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

TableName = Literal["table1", "table2", "table3"]


def home() -> Path:
    """This distribution's folder where it is installed editable, else the current one."""
    folder = Path(__file__).parents[1]
    return folder if (folder / "pyproject.toml").exists() else Path()


@dataclass(kw_only=True)
class BenchmarkOptions:
    """Play a table of the paper: every agent in every setting, on the same tasks.

    table1 is the nine bandits: 5, 10 or 50 arms (k), 10, 100 or 500 pulls (n). table2 is the
    random tabular MDPs: 10, 25, 50, 75 or 100 episodes (n); its planning agents play with the prior
    of the paper's agents and with the true one. table3 is the mazes, small and large, and needs
    rl2-vizdoom. The agents' actions are sampled. Tuned baselines take the parameters that `rl2
    sweep` found on other tasks; trained agents are those that are installed, by their names:
    bandit-k10-n10, bandit-k10-n100-privileged, bandit-k10-n100-imitation,
    bandit-k10-n100-imitation-rl, mdp-n10-privileged, maze-small-privileged and so on.

    Writes OUT/table1.csv, OUT/table1-adaptation.csv (regret pull by pull; for table2 reward episode
    by episode) and OUT/table1-gaps.csv (how often the best arm is found), for table3
    OUT/table3-successes.csv, of which `rl2 report` makes the report. What was played is kept in
    CACHE: interrupted, the same command goes on where it stopped.
    """

    table: Annotated[TableName, tyro.conf.Positional]
    """Of the paper."""
    cells: list[str] = field(default_factory=list)
    """Settings, such as k10-n100, n100, or small; by default all."""
    agents: list[str] = field(default_factory=list)
    """Agents to play, such as ucb1 rl2; by default all. Of table1 and table2, those that have a row
    in OUT play too, with the parameters of now, since the agents of a setting are tested against
    its best."""
    trials: int | None = None
    """Trials of each agent in each cell; by default 10 000 bandits, 1000 MDPs, 1000 mazes."""
    seed: int = 0
    """Of tasks and noise; 0 is the list of tasks that no sweep has seen."""
    workers: int = os.cpu_count() or 1
    """Processes; of table3 threads."""
    overwrite: bool = False
    """Play anew what was played already."""
    cache: Path | None = None
    """Folder for the returns of each trial; by default runs/TABLE."""
    sweeps: Path = field(default_factory=lambda: home() / "results" / "sweeps")
    """Folder of the sweeps' tables."""
    out: Path = field(default_factory=lambda: home() / "results")
    """Folder for the tables."""

    @property
    def cache_folder(self) -> Path:
        """Where what was played is kept."""
        return self.cache or Path("runs") / self.table


@dataclass(kw_only=True)
class ReportOptions:
    """Write the report of a table of the paper: DOCS/table1.md and its pictures DOCS/table1*.png.

    table1 is the bandits, table2 the random tabular MDPs, table3 the mazes.

    Nothing is played or trained: every number comes from the tables that `rl2 benchmark` and `rl2
    plot RUN ... --save RESULTS/learning_curves.csv` wrote.
    """

    table: Annotated[TableName, tyro.conf.Positional]
    """Of the paper."""
    results: Path = field(default_factory=lambda: home() / "results")
    """Folder of the tables."""
    docs: Path = field(default_factory=lambda: home() / "docs")
    """Folder to write into."""
    readme: Path | None = None
    """File with the lines <!-- table1 --> and <!-- /table1 -->, or the table's; what stands between
    them is replaced by a short form of the table."""
