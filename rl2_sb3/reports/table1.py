"""Table 1 as the tables under ``results/`` have it, beside the paper's published numbers."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from rl2_sb3.reports.agents import place
from rl2_sb3.reports.tables import read_table

COMMAND = "rl2 benchmark table1"
# All runs that learned from reward, with what they went on from beyond the shortest stages.
CURVES_COMMAND = (
    "rl2 plot runs/bandit-*-n10 runs/bandit-*00 runs/bandit-*-rl --save results/learning_curves.csv"
)
SIGNIFICANT = 0.05


class Cell(NamedTuple):
    """A setting."""

    arms: int
    episodes: int


class Entry(NamedTuple):
    """An agent's row in a cell; numbers as the columns of ``table1.csv`` are named."""

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


def read_table1(path: Path) -> Table:
    """Read ``table1.csv``: the cells by pulls and arms, in each the agents in the table's order.

    :raises ValueError: it cannot be read, or a cell's agents were not played or tested together
    """
    columns = ("arms", "episodes", *Entry._fields)
    table: dict[Cell, dict[str, Entry]] = {}
    for row in read_table(path, columns, COMMAND):
        try:
            cell, entry = Cell(int(row["arms"]), int(row["episodes"])), _entry(row)
        except ValueError as error:
            raise ValueError(f"{path}: {error} in {row}. Run `{COMMAND}`.") from error
        table.setdefault(cell, {})[entry.agent] = entry
    ordered = {
        cell: dict(sorted(table[cell].items(), key=lambda item: place(item[0])))
        for cell in sorted(table, key=lambda cell: (cell.episodes, cell.arms))
    }
    for cell, entries in ordered.items():
        _check_cell(path, cell, entries)
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


def _check_cell(path: Path, cell: Cell, entries: Mapping[str, Entry]) -> None:
    contest = [entry for entry in entries.values() if entry.against]
    best = max(contest, key=lambda entry: entry.mean, default=None)
    lists = {(entry.instances, entry.seed) for entry in entries.values()}
    if len(lists) > 1 or any(best and entry.against != best.agent for entry in contest):
        raise ValueError(
            f"{path}: the agents of k={cell.arms}, n={cell.episodes} were not played together, on "
            f"the same trials, or not tested against the best. Run `{COMMAND}` for all agents."
        )


def published() -> dict[Cell, dict[str, float]]:
    """The paper's Table 1: means over 1000 instances."""
    text = resources.files("rl2_sb3.reports").joinpath("table1.csv").read_text(encoding="utf-8")
    table: dict[Cell, dict[str, float]] = {}
    for row in csv.DictReader(text.splitlines()):
        cell = Cell(int(row["arms"]), int(row["episodes"]))
        table.setdefault(cell, {})[row["agent"]] = float(row["mean"])
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
