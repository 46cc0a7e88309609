"""A table of means as the tables under ``results/`` have it, beside the published numbers."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from rl2_sb3.paper import Cell, PaperTable, contest
from rl2_sb3.reports.agents import place
from rl2_sb3.reports.tables import read_table

SIGNIFICANT = 0.05


class Entry(NamedTuple):
    """An agent's row in a cell; numbers as the columns of the CSV are named."""

    agent: str
    spec: str
    group: str
    instances: int
    seed: int
    mean: float
    standard_error: float
    exact: float | None
    regret: float
    against: str
    welch: float | None
    paired: float | None
    ahead_standard_error: float | None
    steps: float | None
    seconds: float | None
    hardware: str
    teacher: str
    training_seed: str
    version: str

    @property
    def bold(self) -> bool:
        """The cell's best mean, or not significantly worse by the paper's test."""
        return self.welch is not None and self.welch >= SIGNIFICANT

    @property
    def dagger(self) -> bool:
        """The same by the paired test."""
        return self.paired is not None and self.paired >= SIGNIFICANT


Table = Mapping[Cell, Mapping[str, Entry]]


def play_command(paper: PaperTable) -> str:
    """What writes a table's results."""
    return f"rl2 benchmark {paper.name}"


def read_means(path: Path, paper: PaperTable) -> Table:
    """Read a table: the cells in the paper's order, in each the agents in that of the report.

    :raises ValueError: it cannot be read, or a cell's agents were not played or tested together
    """
    columns = (*paper.columns, *Entry._fields)
    table: dict[Cell, dict[str, Entry]] = {}
    for row in read_table(path, columns, play_command(paper)):
        try:
            cell, entry = paper.cell_of(row), _entry(row)
        except ValueError as error:
            raise ValueError(f"{path}: {error} in {row}. Run `{play_command(paper)}`.") from error
        table.setdefault(cell, {})[entry.agent] = entry
    ordered = {
        cell: dict(sorted(table[cell].items(), key=lambda item: place(item[0])))
        for cell in sorted(table, key=lambda cell: (cell.episodes, cell.arms or 0))
    }
    for cell, entries in ordered.items():
        _check_cell(path, paper, cell, entries)
    return ordered


def _entry(row: Mapping[str, str]) -> Entry:
    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    return Entry(
        agent=row["agent"],
        spec=row["spec"],
        group=row["group"],
        instances=int(row["instances"]),
        seed=int(row["seed"]),
        mean=float(row["mean"]),
        standard_error=float(row["standard_error"]),
        exact=number("exact"),
        regret=float(row["regret"]),
        against=row["against"],
        welch=number("welch"),
        paired=number("paired"),
        ahead_standard_error=number("ahead_standard_error"),
        steps=number("steps"),
        seconds=number("seconds"),
        hardware=row["hardware"],
        teacher=row["teacher"],
        training_seed=row["training_seed"],
        version=row["version"],
    )


def _check_cell(path: Path, paper: PaperTable, cell: Cell, entries: Mapping[str, Entry]) -> None:
    best: dict[str, str] = {}
    for entry in sorted(entries.values(), key=lambda entry: entry.mean, reverse=True):
        best.setdefault(contest(entry.group), entry.agent)
    lists = {(entry.instances, entry.seed) for entry in entries.values()}
    if len(lists) > 1 or any(
        entry.against != best[contest(entry.group)] for entry in entries.values() if entry.against
    ):
        raise ValueError(
            f"{path}: the agents of {cell.words} were not played together, on the same trials, or "
            f"not tested against the best. Run `{play_command(paper)}` for all agents."
        )


def published(paper: PaperTable) -> dict[Cell, dict[str, float]]:
    """The paper's table, and what SNAIL's (Mishra et al. 2018) has for the same settings."""
    source = resources.files("rl2_sb3.reports").joinpath(f"{paper.name}.csv")
    table: dict[Cell, dict[str, float]] = {}
    for row in csv.DictReader(source.read_text(encoding="utf-8").splitlines()):
        table.setdefault(paper.cell_of(row), {})[row["agent"]] = float(row["mean"])
    return table


def share(value: float, entries: Mapping[str, Entry], reference: str) -> float | None:
    """Where a mean lies between random play, 0, and a reference agent, 1."""
    if "random" not in entries or reference not in entries:
        return None
    zero, one = entries["random"].mean, entries[reference].mean
    return (value - zero) / (one - zero)


def best_exact(entries: Mapping[str, Entry]) -> float | None:
    """The exact optimum's value, where the cell has one."""
    return next((e.exact for e in entries.values() if e.exact is not None), None)
