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

from rl2_sb3.benchmark import CELLS, LINEUP, Cell, Match, find_matches
from rl2_sb3.comparison import adaptation_rows, gap_rows, table_rows
from rl2_sb3.matches import Played, play_matches, read_match
from rl2_sb3.registry import HOW_TO_INSTALL
from rl2_sb3.reports.tables import Row, merge_table
from rl2_sb3.scoring import SPLITS

GAP_CELL = Cell(5, 500)  # of the paper's appendix C
RESULTS = Path("results")
KEY = ("arms", "episodes", "agent")


@dataclass(kw_only=True)
class Benchmark:
    """Play a table of the paper: every agent in every setting, on the same tasks.

    table1 is the nine bandits: 5, 10 or 50 arms (k), 10, 100 or 500 pulls (n). The agents' actions
    are sampled. Tuned baselines take the parameters that `rl2 sweep` found on other tasks;
    trained agents are the checkpoints bandit-k10-n100, bandit-k10-n100-imitation,
    bandit-k10-n100-imitation-rl and so on, those that are installed.

    Writes OUT/table1.csv, OUT/table1-adaptation.csv (regret pull by pull) and OUT/table1-gaps.csv
    (how often the best arm is found), of which `rl2 report table1` makes the report. What was
    played is kept in CACHE: interrupted, the same command goes on where it stopped.
    """

    table: Annotated[Literal["table1"], tyro.conf.Positional]
    """Of the paper."""
    cells: list[str] = field(default_factory=lambda: [cell.name for cell in CELLS])
    """Settings, such as k10-n100; by default all."""
    agents: list[str] = field(default_factory=lambda: [each.name for each in LINEUP])
    """Agents to play, such as ucb1 rl2; by default all. The others keep their rows."""
    trials: int = 10_000
    """Trials of each agent in each cell."""
    seed: int = SPLITS["test"]
    """Of tasks and noise."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    overwrite: bool = False
    """Play anew what was played already."""
    cache: Path = Path("runs/table1")
    """Folder for the returns of each trial."""
    sweeps: Path = Path("results/sweeps")
    """Folder of the sweeps' tables."""
    out: Path = RESULTS
    """Folder for the tables."""


def benchmark(args: Sequence[str]) -> None:
    """Parse the options and play."""
    config = tyro.cli(Benchmark, args=list(args), prog="rl2 benchmark")
    if min(config.trials, config.workers) < 1:
        raise ValueError(f"trials={config.trials}, workers={config.workers}: at least one each.")
    matches, missing = find_matches(
        config.cells, config.agents, config.trials, config.seed, config.sweeps
    )
    if missing:
        print(f"Skipped, not installed ({HOW_TO_INSTALL}): {', '.join(missing)}")
    play_matches(matches, config.cache, config.workers, config.overwrite)
    rows: list[Row] = []
    adaptation: list[Row] = []
    gaps: list[Row] = []
    for name in config.cells:
        played = read_cell(name, config)
        rows += table_rows(played)
        for match, each in played.items():
            adaptation += adaptation_rows(match, each)
            gaps += gap_rows(match, each) if match.cell == GAP_CELL else []
    _merge(config.out / "table1.csv", rows)
    _merge(config.out / "table1-adaptation.csv", adaptation)
    _merge(config.out / "table1-gaps.csv", gaps)
    _print(rows, config.trials)
    folders = "" if config.out == RESULTS else f" --results {config.out} --docs {config.out}"
    print(f"Tables: {config.out}/table1*.csv. The report: rl2 report table1{folders}")


def read_cell(cell: str, config: Benchmark) -> dict[Match, Played]:
    """All of a cell's matches, played now or before, since each is tested against all."""
    found: dict[Match, Played] = {}
    for contender in LINEUP:
        try:
            matches, _ = find_matches(
                [cell], [contender.name], config.trials, config.seed, config.sweeps
            )
        except ValueError:  # a sweep is missing, of an agent that was not asked for
            continue
        for match in matches:
            if (played := read_match(match, config.cache)) is not None:
                found[match] = played
    return found


def _merge(path: Path, rows: list[Row]) -> None:
    order = [each.name for each in LINEUP]

    def place(row: Row) -> Any:
        agent = order.index(row["agent"]) if row["agent"] in order else len(order)
        return int(row["episodes"]), int(row["arms"]), agent

    merge_table(path, rows, KEY, place)


def _print(rows: list[Row], trials: int) -> None:
    """A line for each agent, a column for each cell; the contest's best in bold."""
    title = f"Mean return of a trial, {trials:,} common trials"
    table = Table(title=title, box=box.SIMPLE, padding=0, collapse_padding=True)
    table.add_column("agent", no_wrap=True)
    means: dict[str, dict[Cell, str]] = {}
    for row in rows:
        text = f"{float(row['mean']):.{2 if row['episodes'] < 500 else 1}f}"
        best = row["agent"] == row["against"]
        cell = Cell(row["arms"], row["episodes"])
        means.setdefault(row["agent"], {})[cell] = f"[bold]{text}[/bold]" if best else text
    shown = [cell for cell in CELLS if any(cell in line for line in means.values())]
    for cell in shown:
        table.add_column(f"n={cell.episodes}\nk={cell.arms}", justify="right")
    for contender in LINEUP:
        if contender.name in means:
            line = means[contender.name]
            table.add_row(contender.name, *(line.get(cell, "") for cell in shown))
    Console().print(table)
