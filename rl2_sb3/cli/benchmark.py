"""``rl2 benchmark``: the agents of a table of the paper, in all its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from rl2_sb3.benchmark import Match, find_matches
from rl2_sb3.comparison import Matches, adaptation_rows, gap_rows, table_rows, with_optimum
from rl2_sb3.matches import Played, play_matches, read_match
from rl2_sb3.paper import TABLES, Cell, PaperTable
from rl2_sb3.registry import HOW_TO_INSTALL
from rl2_sb3.reports.tables import Row, drop_rows, merge_table
from rl2_sb3.scoring import SPLITS

GAP_CELL = Cell(5, 500)  # of the paper's appendix C
RESULTS = Path("results")


@dataclass(kw_only=True)
class Benchmark:
    """Play a table of the paper: every agent in every setting, on the same tasks.

    table1 is the nine bandits: 5, 10 or 50 arms (k), 10, 100 or 500 pulls (n). table2 is the
    random tabular MDPs: 10, 25, 50, 75 or 100 episodes (n); its planning agents play with the prior
    of the paper's agents and with the true one. The agents' actions are sampled. Tuned baselines
    take the parameters that `rl2 sweep` found on other tasks; trained agents are the checkpoints
    bandit-k10-n100, bandit-k10-n100-imitation, bandit-k10-n100-imitation-rl, mdp-n10 and so on,
    those that are installed.

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
    """Agents to play, such as ucb1 rl2; by default all. The others keep their rows, unless they
    would play with other parameters by now."""
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
    matches, missing = find_matches(table, cells, agents, *lists)
    if missing:
        print(f"Skipped, not installed ({HOW_TO_INSTALL}): {', '.join(missing)}")
    play_matches(matches, cache, config.workers, config.overwrite)
    rows: list[Row] = []
    adaptation: list[Row] = []
    gaps: list[Row] = []
    specs: dict[Cell, Mapping[str, str]] = {}
    for cell in (cell for cell in table.cells if cell.name in cells):
        found, specs[cell] = read_cell(table, cell, cache, *lists)
        played = with_optimum(table, found)
        rows += table_rows(played, table.reference)
        for match, each in played.items():
            adaptation += adaptation_rows(match, each, table)
            gaps += gap_rows(match, each) if match.cell == GAP_CELL else []
    _merge(config.out / f"{table.name}.csv", rows, table)
    _merge(config.out / f"{table.name}-adaptation.csv", adaptation, table)
    _merge(config.out / f"{table.name}-gaps.csv", gaps, table)
    _drop_stale(config.out, table, specs)
    _print(rows, trials, table)
    folders = "" if config.out == RESULTS else f" --results {config.out} --docs {config.out}"
    report = f"rl2 report {table.name}{folders}"
    print(f"Tables: {config.out}/{table.name}*.csv. The report: {report}")


def read_cell(
    table: PaperTable, cell: Cell, cache: Path, trials: int, seed: int, sweeps: Path
) -> tuple[Matches, dict[str, str]]:
    """All of a cell's matches, played now or before, since each is tested against all.

    :return: the matches, and the spec with which each agent would play now
    """
    found: dict[Match, Played] = {}
    specs = {table.optimum: table.optimum}
    for contender in table.lineup:
        name = contender.name
        try:
            matches, missing = find_matches(table, [cell.name], [name], trials, seed, sweeps)
        except ValueError:  # a sweep is missing, of an agent that was not asked for
            continue
        for spec in (*(match.spec for match in matches), *missing):
            specs[name] = spec
        for match in matches:
            if (played := read_match(match, cache)) is not None:
                found[match] = played
    return found, specs


def _drop_stale(out: Path, table: PaperTable, specs: Mapping[Cell, Mapping[str, str]]) -> None:
    """Drop and announce the rows of agents that would play with other parameters by now.

    Those of an agent whose sweep was begun anew stay until it has run to its end.
    """

    def stale(row: Row) -> bool:
        now = specs.get(table.cell_of(row), {}).get(row["agent"], row["spec"])
        return bool(now != row["spec"])

    dropped = drop_rows(out / f"{table.name}.csv", stale)
    gone = {(table.cell_of(row), row["agent"]) for row in dropped}
    for name in ("adaptation", "gaps"):
        path = out / f"{table.name}-{name}.csv"
        drop_rows(path, lambda row: (table.cell_of(row), row["agent"]) in gone)
    if dropped:
        words = ", ".join(f"{row['spec']} in {table.cell_of(row).name}" for row in dropped)
        print(f"Dropped, as their parameters are not those of now: {words}", file=sys.stderr)


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
