"""A table of the paper as a list of matches: who plays where, with which parameters."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rl2_sb3.paper import EXACT_PULLS, Cell, Contender, PaperTable
from rl2_sb3.registry import CHECKPOINTS, HOW_TO_INSTALL, did_you_mean, literal
from rl2_sb3.trials.make import make_tasks

Options = tuple[tuple[str, Any], ...]


class Match(NamedTuple):
    """An agent in a cell, and all that its returns depend on."""

    contender: Contender
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


def find_matches(
    table: PaperTable,
    cells: list[str],
    agents: list[str],
    trials: int,
    seed: int,
    sweeps: Path,
    standing: Standing | None = None,
) -> tuple[list[Match], list[str]]:
    """The matches of some cells: of the agents that are named, and of those that have a row there.

    :param sweeps: folder of the sweeps' tables
    :param standing: the spec of each agent that has a row in a cell, by the names of both. It plays
        with the parameters of now, or, where its sweep is not at its end, with those of its row.
    :return: the matches, and the names of the checkpoints that are not installed
    :raises ValueError: an unknown name, a sweep that was not run to its end, or a checkpoint that
        has a row and is not installed
    """
    of_cells = {cell.name: cell for cell in table.cells}
    _check_names("cell", cells, list(of_cells))
    _check_names("agent", agents, [each.name for each in table.lineup])
    matches, missing = [], []
    for cell in (of_cells[name] for name in cells):
        for contender in table.lineup:
            stands = (standing or {}).get((cell.name, contender.name))
            if contender.name not in agents and stands is None:
                continue
            if contender.group == "exact" and cell.episodes > EXACT_PULLS:
                continue
            if contender.trained:
                spec = contender.spec.format(cell=cell.name)
                if spec not in CHECKPOINTS and stands is None:
                    missing.append(spec)
                    continue
                file = _checkpoint(spec, table, cell)
            else:
                fallback = None if contender.name in agents else stands
                spec, file = baseline_spec(contender, cell, sweeps, fallback), None
            lists = trials, seed, table.task, tuple(table.options_of(cell).items())
            matches.append(Match(contender, cell, spec, file, *lists))
    return matches, missing


def _checkpoint(name: str, table: PaperTable, cell: Cell) -> Path:
    if name not in CHECKPOINTS:
        raise ValueError(
            f"{name} has a row in {table.name}.csv, with which the others of {cell.name} are "
            f"compared, and is not installed: {HOW_TO_INSTALL}. Or write tables of your own, with "
            "--out FOLDER."
        )
    return Path(CHECKPOINTS.load(name))


def _check_names(noun: str, names: list[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"No {noun} {name!r}.{hint} Known: {', '.join(known)}.")


def baseline_spec(
    contender: Contender, cell: Cell, sweeps: Path, fallback: str | None = None
) -> str:
    """A baseline with its parameters, as ``make_baseline`` takes it: "beb(prior='true')".

    :param fallback: what it is where the sweep was not run to its end
    :raises ValueError: it is tuned, its sweep was not run to its end, and there is no fallback
    """
    given = {"prior": contender.prior} if contender.prior else {}
    tuned = {}
    if contender.tuned:
        try:
            tuned = tuned_parameters(sweeps, contender.spec, {**cell.columns, **given})
        except ValueError:
            if fallback is None:
                raise
            return fallback
    words = [f"{key}={value!r}" for key, value in {**given, **tuned}.items()]
    return f"{contender.spec}({', '.join(words)})" if words else contender.spec


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
