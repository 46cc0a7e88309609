"""Playing a table of mean returns: the jobs, then the rows that they make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from rl2_paper.cache import Played, play_all, read_played
from rl2_paper.comparison import adaptation_rows, table_rows, with_optimum
from rl2_paper.definitions import Cell, ReturnsTable
from rl2_paper.jobs import Job, find_jobs
from rl2_paper.options import BenchmarkOptions, home
from rl2_sb3.cli.screen import show
from rl2_sb3.registry import HOW_TO_INSTALL
from rl2_sb3.tables import Row, merge_table, own_table

PlayedCells = Mapping[Cell, Mapping[Job, Played]]


def play_table(table: ReturnsTable, config: BenchmarkOptions) -> PlayedCells:
    """Play what is asked for and was not played, and write the table and that of adaptation.

    :return: what was played, by cell, who knows the task as if it had played, too
    :raises ValueError: unknown names, or rows of other trials in the tables
    """
    trials = table.trials if config.trials is None else config.trials
    cells = config.cells or [cell.name for cell in table.cells]
    agents = config.agents or [entry.name for entry in table.lineup]
    lists = trials, config.seed, config.sweeps
    path = config.out / f"{table.name}.csv"
    standing = _standing(path, table, cells, trials, config.seed)
    jobs, missing = find_jobs(table, cells, agents, *lists, standing)
    tell_missing(missing)
    play_all(jobs, config.cache_folder, config.workers, config.overwrite)
    cells_played: dict[Cell, Mapping[Job, Played]] = {}
    rows: list[Row] = []
    adaptation: list[Row] = []
    for cell in (cell for cell in table.cells if cell.name in cells):
        found = {job: read_played(job, config.cache_folder) for job in jobs if job.cell == cell}
        played = with_optimum(table, {job: each for job, each in found.items() if each})
        cells_played[cell] = played
        rows += table_rows(played, table.reference)
        for job, each in played.items():
            adaptation += adaptation_rows(job, each, table)
    merge_rows(path, rows, table)
    merge_rows(config.out / f"{table.name}-adaptation.csv", adaptation, table)
    _print(rows, trials, table)
    tell_report(config)
    return cells_played


def tell_missing(agents: list[str]) -> None:
    """Name the trained agents that are not installed."""
    if agents:
        print(f"Skipped, not installed ({HOW_TO_INSTALL}): {', '.join(agents)}")


def tell_report(config: BenchmarkOptions) -> None:
    """Name the tables, and the command that makes the report of them."""
    usual = config.out == home() / "results"
    folders = "" if usual else f" --results {config.out} --docs {config.out}"
    report = f"rl2 report {config.table}{folders}"
    print(f"Tables: {config.out}/{config.table}*.csv. The report: {report}")


def _standing(
    path: Path, table: ReturnsTable, cells: list[str], trials: int, seed: int
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


def merge_rows(path: Path, rows: list[Row], table: ReturnsTable) -> None:
    """Write rows into a table, in the order of its cells and agents."""
    order = table.agents()

    def place(row: Row) -> Any:
        agent = order.index(row["agent"]) if row["agent"] in order else len(order)
        return int(row["episodes"]), int(row.get("arms", 0)), agent

    merge_table(path, rows, (*table.columns, "agent"), place)


def _print(rows: list[Row], trials: int, table: ReturnsTable) -> None:
    """A line for each agent, a column for each cell; the best of a comparison group in bold."""
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
    show(printed)
