"""The paper's Table 1 as a list of matches: nine bandit settings, and who plays in them."""

from __future__ import annotations

import ast
import csv
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rl2_sb3.registry import CHECKPOINTS, did_you_mean

Group = Literal["baseline", "exact", "RL from scratch", "imitation", "RL after imitation"]

EXACT_PULLS = 10
"""Pulls beyond which the Bayes optimum has too many beliefs to go through."""


class Cell(NamedTuple):
    """A setting of Table 1: the bandit's arms, and the pulls of a trial."""

    arms: int
    episodes: int

    @property
    def name(self) -> str:
        """Such as "k10-n100"."""
        return f"k{self.arms}-n{self.episodes}"


class Contender(NamedTuple):
    """An agent of the table, for any cell."""

    name: str
    group: Group
    spec: str
    """The baseline with its parameters, or a checkpoint's name with {cell} in it."""
    tuned: bool = False
    """Its parameters come from its sweep, for each cell the best on the validation split."""

    @property
    def trained(self) -> bool:
        """Whether it is a checkpoint."""
        return self.group not in ("baseline", "exact")


class Match(NamedTuple):
    """An agent in a cell, and all that its returns depend on."""

    contender: Contender
    cell: Cell
    spec: str
    file: Path | None
    """The trained agent's file."""
    trials: int
    seed: int


CELLS = [Cell(arms, episodes) for episodes in (10, 100, 500) for arms in (5, 10, 50)]
LINEUP = [
    Contender("random", "baseline", "random"),
    Contender("greedy", "baseline", "greedy(ties='first')"),  # the paper's
    Contender("epsilon-greedy", "baseline", "epsilon-greedy", tuned=True),
    Contender("ucb1", "baseline", "ucb1", tuned=True),
    Contender("thompson", "baseline", "thompson"),
    Contender("ots-density", "baseline", "ots-density", tuned=True),
    Contender("ots-mean", "baseline", "ots-mean"),
    Contender("gittins", "baseline", "gittins", tuned=True),
    Contender("gittins-finite-horizon", "baseline", "gittins(method='finite-horizon')"),
    Contender("bayes-optimum", "exact", "bayes-optimum"),
    Contender("rl2", "RL from scratch", "bandit-{cell}"),
    Contender("rl2-imitation", "imitation", "bandit-{cell}-imitation"),
    Contender("rl2-imitation-rl", "RL after imitation", "bandit-{cell}-imitation-rl"),
]


def find_matches(
    cells: list[str], agents: list[str], trials: int, seed: int, sweeps: Path
) -> tuple[list[Match], list[str]]:
    """The matches of some cells and agents, by their names.

    :param sweeps: folder of the sweeps' tables
    :return: the matches, and the names of the checkpoints that are not installed
    :raises ValueError: an unknown name, or a sweep that was not run
    """
    of_cells, of_agents = {c.name: c for c in CELLS}, {each.name: each for each in LINEUP}
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
            elif contender.tuned:
                spec += f"({tuned_parameters(sweeps / f'{spec}.csv', cell)})"
            matches.append(Match(contender, cell, spec, file, trials, seed))
    return matches, missing


def _check_names(noun: str, names: list[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"No {noun} {name!r}.{hint} Known: {', '.join(known)}.")


def tuned_parameters(path: Path, cell: Cell) -> str:
    """The parameters with the best mean in a sweep's table, of those tried in this cell: "c=0.1".

    :raises ValueError: no such table, or none of its rows is of this cell's validation split
    """
    hint = f"Run `rl2 sweep sweeps/{path.stem}.yaml`."
    try:
        with path.open(newline="") as file:
            table = list(csv.DictReader(file))
    except OSError as error:
        raise ValueError(f"{path} is missing, from which parameters are taken. {hint}") from error
    rows = [
        row
        for row in table
        if (row.get("arms"), row.get("episodes")) == (str(cell.arms), str(cell.episodes))
        and row.get("split") == "validation"
        and row.get("task", "bandit") == "bandit"
    ]
    if not rows:
        raise ValueError(f"{path} has no row of {cell.name}'s validation split. {hint}")
    best = max(rows, key=lambda row: float(row["mean"]))
    setting = ("agent", "task", "split", "trials", "arms", "episodes", "mean", "standard_error")
    own = {key: value for key, value in best.items() if key not in setting and value}
    return ", ".join(f"{key}={_value(text)!r}" for key, text in own.items())


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
