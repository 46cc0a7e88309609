"""A table of mean returns as ``results/`` has it, and the published numbers."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from rl2_paper.definitions import Cell, PaperTable, ReturnsTable, comparison_group
from rl2_paper.styles import place
from rl2_sb3.tables import read_table

SIGNIFICANT = 0.05


class Result(NamedTuple):
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


Table = Mapping[Cell, Mapping[str, Result]]


def play_command(paper: PaperTable) -> str:
    """What writes a table's results."""
    return f"rl2 benchmark {paper.name}"


def read_results(path: Path, paper: ReturnsTable) -> Table:
    """Read a table: the cells in the paper's order, in each the agents in that of the report.

    :raises ValueError: it cannot be read, or a cell's agents were not played or tested together
    """
    columns = (*paper.columns, *Result._fields)
    table: dict[Cell, dict[str, Result]] = {}
    for row in read_table(path, columns, f"Run `{play_command(paper)}`."):
        try:
            cell, result = paper.cell_of(row), _result(row)
        except ValueError as error:
            raise ValueError(f"{path}: {error} in {row}. Run `{play_command(paper)}`.") from error
        table.setdefault(cell, {})[result.agent] = result
    ordered = {
        cell: dict(sorted(table[cell].items(), key=lambda item: place(item[0])))
        for cell in sorted(table, key=lambda cell: (cell.episodes, cell.arms or 0))
    }
    for cell, results in ordered.items():
        _check_cell(path, paper, cell, results)
    return ordered


def _result(row: Mapping[str, str]) -> Result:
    values: dict[str, Any] = {name: row[name] for name in Result._fields}
    values |= {name: float(row[name]) for name in ("mean", "standard_error", "regret")}
    values |= {name: int(row[name]) for name in ("instances", "seed")}
    may_lack = ("exact", "welch", "paired", "ahead_standard_error", "steps", "seconds")
    values |= {name: float(row[name]) if row[name] else None for name in may_lack}
    return Result(**values)


def _check_cell(path: Path, paper: ReturnsTable, cell: Cell, results: Mapping[str, Result]) -> None:
    best: dict[str, str] = {}
    for result in sorted(results.values(), key=lambda result: result.mean, reverse=True):
        best.setdefault(comparison_group(result.group), result.agent)
    lists = {(result.instances, result.seed) for result in results.values()}
    if len(lists) > 1 or any(
        result.against != best[comparison_group(result.group)]
        for result in results.values()
        if result.against
    ):
        raise ValueError(
            f"{path}: the agents of {cell.words} were not played together, on the same trials, or "
            f"not tested against the best. Run `{play_command(paper)}` for all agents."
        )


def published(paper: ReturnsTable) -> dict[Cell, dict[str, float]]:
    """The paper's table, and what SNAIL's (Mishra et al. 2018) has for the same settings."""
    source = resources.files(f"rl2_paper.{paper.name}").joinpath("published.csv")
    table: dict[Cell, dict[str, float]] = {}
    for row in csv.DictReader(source.read_text(encoding="utf-8").splitlines()):
        table.setdefault(paper.cell_of(row), {})[row["agent"]] = float(row["mean"])
    return table


def share(value: float, results: Mapping[str, Result], reference: str) -> float | None:
    """Where a mean lies between random play, 0, and a reference agent, 1."""
    if "random" not in results or reference not in results:
        return None
    zero, one = results["random"].mean, results[reference].mean
    return (value - zero) / (one - zero)


def best_exact(results: Mapping[str, Result]) -> float | None:
    """The exact optimum's value, where the cell has one."""
    return next((e.exact for e in results.values() if e.exact is not None), None)
