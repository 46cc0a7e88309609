"""A table of the paper as a list of jobs: who plays where, with which parameters."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rl2_paper.definitions import Cell, Entry, PaperTable
from rl2_sb3.registry import AGENTS, HOW_TO_INSTALL, did_you_mean, literal
from rl2_sb3.trials.make import make_tasks

Options = tuple[tuple[str, Any], ...]


class Job(NamedTuple):
    """An agent in a cell, and all that its returns depend on."""

    entry: Entry
    cell: Cell
    spec: str
    file: Path | None
    """The trained agent's file."""
    trials: int
    seed: int
    task: str
    options: Options
    """Of the task, the table's and the cell's."""

    def tasks(self) -> Any:
        """The task distribution."""
        return make_tasks(self.task, **dict(self.options))


Standing = Mapping[tuple[str, str], str]


def find_jobs(
    table: PaperTable,
    cells: list[str],
    agents: list[str],
    trials: int,
    seed: int,
    sweeps: Path,
    standing: Standing | None = None,
) -> tuple[list[Job], list[str]]:
    """The jobs of some cells: of the agents that are named, and of those that have a row there.

    :param sweeps: folder of the sweeps' tables
    :param standing: the spec of each agent that has a row in a cell, by the names of both. It plays
        with the parameters of now, or, where its sweep is not at its end, with those of its row.
    :return: the jobs, and the names of the trained agents that are not installed
    :raises ValueError: an unknown name, a sweep that was not run to its end, or a trained agent
        that has a row and is not installed
    """
    of_cells = {cell.name: cell for cell in table.cells}
    check_names("cell", cells, list(of_cells))
    check_names("agent", agents, [each.name for each in table.lineup])
    jobs, missing = [], []
    for cell in (of_cells[name] for name in cells):
        for entry in table.lineup:
            stands = (standing or {}).get((cell.name, entry.name))
            if entry.name not in agents and stands is None:
                continue
            if entry.longest is not None and cell.episodes > entry.longest:
                continue
            if entry.trained:
                spec = entry.spec.format(cell=cell.name)
                if spec not in AGENTS and stands is None:
                    missing.append(spec)
                    continue
                file = _agent_file(spec, table, cell)
            else:
                fallback = None if entry.name in agents else stands
                spec, file = baseline_spec(entry, cell, sweeps, fallback), None
            lists = trials, seed, table.task, tuple(table.options_of(cell).items())
            jobs.append(Job(entry, cell, spec, file, *lists))
    return jobs, missing


def _agent_file(name: str, table: PaperTable, cell: Cell) -> Path:
    if name not in AGENTS:
        raise ValueError(
            f"{name} has a row in {table.name}.csv, with which the others of {cell.name} are "
            f"compared, and is not installed: {HOW_TO_INSTALL}. Or write tables of your own, with "
            "--out FOLDER."
        )
    return Path(AGENTS.load(name))


def check_names(noun: str, names: list[str], known: list[str]) -> None:
    """Refuse a name that is not known, with the nearest."""
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"No {noun} {name!r}.{hint} Known: {', '.join(known)}.")


def baseline_spec(entry: Entry, cell: Cell, sweeps: Path, fallback: str | None = None) -> str:
    """A baseline with its parameters, as ``make_baseline`` takes it: "beb(prior='true')".

    :param fallback: what it is where the sweep was not run to its end
    :raises ValueError: it is tuned, its sweep was not run to its end, and there is no fallback
    """
    given = {"prior": entry.prior} if entry.prior else {}
    tuned = {}
    if entry.tuned:
        try:
            tuned = tuned_parameters(sweeps, entry.spec, {**cell.columns, **given})
        except ValueError:
            if fallback is None:
                raise
            return fallback
    words = [f"{key}={value!r}" for key, value in {**given, **tuned}.items()]
    return f"{entry.spec}({', '.join(words)})" if words else entry.spec


def tuned_parameters(sweeps: Path, name: str, point: Mapping[str, Any]) -> dict[str, Any]:
    """The best parameters of a sweep in a setting.

    They are in NAME-best.csv, which `rl2 sweep` writes when all points were run.

    :param sweeps: folder of the sweeps' tables
    :param point: the setting, such as arms, episodes and prior
    :raises ValueError: no such table, or not one row of this setting
    """
    path, hint = sweeps / f"{name}-best.csv", f"Run `rl2 sweep sweeps/{name}.yaml` to its end."
    try:
        with path.open(newline="") as file:
            table = list(csv.DictReader(file))
    except OSError as error:
        raise ValueError(f"{path} is missing, from which parameters are taken. {hint}") from error
    rows = [row for row in table if all(row.get(key) == str(point[key]) for key in point)]
    if len(rows) != 1:
        words = ", ".join(f"{key}={value}" for key, value in point.items())
        raise ValueError(f"{path} has {len(rows)} rows with {words}, not one. {hint}")
    others = {"agent", "mean", "standard_error", "trials", *point}
    return {key: literal(text) for key, text in rows[0].items() if key not in others}
