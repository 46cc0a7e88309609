"""``rl2 benchmark``: the agents of a table of the paper, in all its settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from rl2_sb3.benchmark import find_matches
from rl2_sb3.comparison import adaptation_rows, gap_rows, table_rows, with_optimum
from rl2_sb3.matches import play_matches, read_match
from rl2_sb3.paper import TABLES, Cell, PaperTable
from rl2_sb3.registry import HOW_TO_INSTALL
from rl2_sb3.reports.tables import Row, merge_table, own_table
from rl2_sb3.sweeps import SPLITS

GAP_CELL = Cell(5, 500)  # of the paper's appendix C
RESULTS = Path("results")


@dataclass(kw_only=True)
class Benchmark:
    """Play a table of the paper: every agent in every setting, on the same tasks.

    table1 is the nine bandits: 5, 10 or 50 arms (k), 10, 100 or 500 pulls (n). table2 is the
    random tabular MDPs: 10, 25, 50, 75 or 100 episodes (n); its planning agents play with the prior
    of the paper's agents and with the true one. The agents' actions are sampled. Tuned baselines
    take the parameters that `rl2 sweep` found on other tasks; trained agents are the checkpoints
    bandit-k10-n10, bandit-k10-n100-privileged, bandit-k10-n100-imitation,
    bandit-k10-n100-imitation-rl, mdp-n10-privileged and so on, those that are installed.

    Writes OUT/table1.csv, OUT/table1-adaptation.csv (regret pull by pull; for table2 reward episode
    by episode) and OUT/table1-gaps.csv (how often the best arm is found), of which `rl2 report
    table1` makes the report. What was played is kept in CACHE: interrupted, the same command goes
    on where it stopped.
    """

    table: Annotated[Literal["table1", "table2"], tyro.conf.Positional]
    """Of the paper."""
    cells: list[str] = field(default_factory=list)
    """Settings, such as k10-n100, or n100; by default all."""
    agents: list[str] = field(default_factory=list)
    """Agents to play, such as ucb1 rl2; by default all. Those that have a row in OUT play too, with
    the parameters of now, since the agents of a setting are tested against its best."""
    trials: int | None = None
    """Trials of each agent in each cell; by default 10 000 bandits, 1000 MDPs."""
    seed: int = SPLITS["test"]
    """Of tasks and noise."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    overwrite: bool = False
    """Play anew what was played already."""
    cache: Path | None = None
    """Folder for the returns of each trial; by default runs/TABLE."""
    sweeps: Path = Path("results/sweeps")
    """Folder of the sweeps' tables."""
    out: Path = RESULTS
    """Folder for the tables."""


def benchmark(args: Sequence[str]) -> None:
    """Parse the options and play."""
    config = tyro.cli(Benchmark, args=list(args), prog="rl2 benchmark")
    table = TABLES[config.table]
    trials = table.trials if config.trials is None else config.trials
    if min(trials, config.workers) < 1:
        raise ValueError(f"trials={trials}, workers={config.workers}: at least one each.")
    cells = config.cells or [cell.name for cell in table.cells]
    agents = config.agents or [each.name for each in table.lineup]
    cache = config.cache or Path("runs") / table.name
    lists = trials, config.seed, config.sweeps
    standing = _standing(config.out / f"{table.name}.csv", table, cells, trials, config.seed)
    matches, missing = find_matches(table, cells, agents, *lists, standing)
    if missing:
        print(f"Skipped, not installed ({HOW_TO_INSTALL}): {', '.join(missing)}")
    play_matches(matches, cache, config.workers, config.overwrite)
    rows: list[Row] = []
    adaptation: list[Row] = []
    gaps: list[Row] = []
    for cell in (cell for cell in table.cells if cell.name in cells):
        found = {match: read_match(match, cache) for match in matches if match.cell == cell}
        played = with_optimum(table, {match: each for match, each in found.items() if each})
        rows += table_rows(played, table.reference)
        for match, each in played.items():
            adaptation += adaptation_rows(match, each, table)
            gaps += gap_rows(match, each) if match.cell == GAP_CELL else []
    _merge(config.out / f"{table.name}.csv", rows, table)
    _merge(config.out / f"{table.name}-adaptation.csv", adaptation, table)
    _merge(config.out / f"{table.name}-gaps.csv", gaps, table)
    _print(rows, trials, table)
    folders = "" if config.out == RESULTS else f" --results {config.out} --docs {config.out}"
    report = f"rl2 report {table.name}{folders}"
    print(f"Tables: {config.out}/{table.name}*.csv. The report: {report}")


def _standing(
    path: Path, table: PaperTable, cells: list[str], trials: int, seed: int
) -> dict[tuple[str, str], str]:
    """The spec of each agent that has a row in one of the cells, by the names of cell and agent.

    :raises ValueError: a table with other columns, or of other trials
    """
    standing = {}
    for row in own_table(path, [*table.columns, "agent", "spec", "instances", "seed"]):
        cell = table.cell_of(row).name
        if cell not in cells:
            continue
        if (row["instances"], row["seed"]) != (str(trials), str(seed)):
            raise ValueError(
                f"{path} has {cell} with {row['instances']} trials of seed {row['seed']}, not "
                f"{trials} of {seed}: give the same, or --out FOLDER for tables of your own."
            )
        standing[cell, row["agent"]] = row["spec"]
    return standing


def _merge(path: Path, rows: list[Row], table: PaperTable) -> None:
    order = table.agents()

    def place(row: Row) -> Any:
        agent = order.index(row["agent"]) if row["agent"] in order else len(order)
        return int(row["episodes"]), int(row.get("arms", 0)), agent

    merge_table(path, rows, (*table.columns, "agent"), place)


def _print(rows: list[Row], trials: int, table: PaperTable) -> None:
    """A line for each agent, a column for each cell; a contest's best in bold."""
    title = f"Mean return of a trial, {trials:,} common trials"
    printed = Table(title=title, box=box.SIMPLE, padding=0, collapse_padding=True)
    printed.add_column("agent", no_wrap=True)
    means: dict[str, dict[Cell, str]] = {}
    for row in rows:
        cell, best = table.cell_of(row), row["agent"] == row["against"]
        text = f"{float(row['mean']):.{2 if cell.arms and cell.episodes < 500 else 1}f}"
        means.setdefault(row["agent"], {})[cell] = f"[bold]{text}[/bold]" if best else text
    shown = [cell for cell in table.cells if any(cell in line for line in means.values())]
    for cell in shown:
        arms = "" if cell.arms is None else f"\nk={cell.arms}"
        printed.add_column(f"n={cell.episodes}{arms}", justify="right")
    for agent in table.agents():
        if agent in means:
            printed.add_row(agent, *(means[agent].get(cell, "") for cell in shown))
    Console().print(printed)
