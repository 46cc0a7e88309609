"""A table of the paper as a list of matches: who plays where, with which parameters."""

from __future__ import annotations

import ast
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rl2_sb3.paper import EXACT_PULLS, Cell, Contender, PaperTable
from rl2_sb3.registry import CHECKPOINTS, did_you_mean


class Match(NamedTuple):
    """An agent in a cell, and all that its returns depend on."""

    contender: Contender
    cell: Cell
    spec: str
    file: Path | None
    """The trained agent's file."""
    trials: int
    seed: int
    task: str = "bandit"


def find_matches(
    table: PaperTable, cells: list[str], agents: list[str], trials: int, seed: int, sweeps: Path
) -> tuple[list[Match], list[str]]:
    """The matches of some cells and agents, by their names.

    :param sweeps: folder of the sweeps' tables
    :return: the matches, and the names of the checkpoints that are not installed
    :raises ValueError: an unknown name, or a sweep that was not run
    """
    of_cells = {cell.name: cell for cell in table.cells}
    of_agents = {each.name: each for each in table.lineup}
    _check_names("cell", cells, list(of_cells))
    _check_names("agent", agents, list(of_agents))
    matches, missing = [], []
    for cell in (of_cells[name] for name in cells):
        for contender in (of_agents[name] for name in agents):
            if contender.group == "exact" and cell.episodes > EXACT_PULLS:
                continue
            spec, file = contender.spec.format(cell=cell.name), None
            if contender.trained:
                if spec not in CHECKPOINTS:
                    missing.append(spec)
                    continue
                file = Path(CHECKPOINTS.load(spec))
            else:
                spec = baseline_spec(contender, cell, table.task, sweeps)
            matches.append(Match(contender, cell, spec, file, trials, seed, table.task))
    return matches, missing


def _check_names(noun: str, names: list[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"No {noun} {name!r}.{hint} Known: {', '.join(known)}.")


def baseline_spec(contender: Contender, cell: Cell, task: str, sweeps: Path) -> str:
    """A baseline with its parameters, as ``make_baseline`` takes it: "beb(prior='true')".

    :raises ValueError: it is tuned, and its sweep was not run
    """
    given = {"prior": contender.prior} if contender.prior else {}
    tuned = {}
    if contender.tuned:
        point = {"task": task, **cell.columns, **given}
        tuned = tuned_parameters(sweeps / f"{contender.spec}.csv", point)
    words = [f"{key}={value!r}" for key, value in {**given, **tuned}.items()]
    return f"{contender.spec}({', '.join(words)})" if words else contender.spec


def tuned_parameters(path: Path, point: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the best mean in a sweep's table, of those tried at this point.

    :param point: what the rows must have, such as task, episodes and prior
    :raises ValueError: no such table, or none of its rows is of this point's validation split
    """
    hint = f"Run `rl2 sweep sweeps/{path.stem}.yaml`."
    try:
        with path.open(newline="") as file:
            table = list(csv.DictReader(file))
    except OSError as error:
        raise ValueError(f"{path} is missing, from which parameters are taken. {hint}") from error
    wanted = {"split": "validation", **point}
    rows = [
        row
        for row in ({"task": "bandit", **row} for row in table)
        if all(row.get(key) == str(value) for key, value in wanted.items())
    ]
    if not rows:
        words = ", ".join(f"{key}={value}" for key, value in point.items())
        raise ValueError(f"{path} has no row of the validation split with {words}. {hint}")
    best = max(rows, key=lambda row: float(row["mean"]))
    others = {"agent", "trials", "mean", "standard_error", *wanted}
    return {key: _value(text) for key, text in best.items() if key not in others and text}


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
