"""The report of Table 1, from the tables under ``results/`` alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rl2_sb3.registry import HOW_TO_INSTALL
from rl2_sb3.reports.history import COLUMNS
from rl2_sb3.reports.logs import Curve
from rl2_sb3.reports.table1 import COMMAND, CURVES_COMMAND, Cell, Table, read_table1
from rl2_sb3.reports.table1_figures import (
    adaptation_figure,
    gaps_figure,
    learning_figure,
    shares_figure,
)
from rl2_sb3.reports.table1_markdown import document, replace_between, short_table
from rl2_sb3.reports.tables import read_table

Bins = dict[str, dict[tuple[float, float], tuple[float, float, int]]]


def table1_report(results: Path, docs: Path, readme: Path | None = None) -> list[Path]:
    """Write ``table1.md`` and its pictures.

    :param results: folder of the tables
    :param docs: folder to write into
    :param readme: a file whose text between two markers is replaced by the short table
    :return: what was written
    :raises ValueError: a table that is missing or cannot be read
    """
    table = read_table1(results / "table1.csv")
    pictures = {"table1.png": "Where each agent comes to"}
    written = [shares_figure(table, docs / "table1.png")]
    notes = []
    curves_file = results / "learning_curves.csv"
    if curves_file.exists():
        curves = read_curves(curves_file, table)
        if curves:
            written.append(learning_figure(curves, table, docs / "table1_learning.png"))
            pictures["table1_learning.png"] = "Learning, as in the paper's Figure 2"
    if len(written) == 1:
        notes.append(
            f"Without learning curves: `{curves_file.name}` has none of these settings "
            f"(`{CURVES_COMMAND}`)."
        )
    if not any(agent.startswith("rl2") for entries in table.values() for agent in entries):
        notes.append(
            "Without trained agents: none was installed when the bandits were played "
            f"(`{HOW_TO_INSTALL}`, then `{COMMAND}`)."
        )
    adaptation, instances = read_adaptation(results / "table1-adaptation.csv")
    written.append(adaptation_figure(adaptation, instances, docs / "table1_adaptation.png"))
    pictures["table1_adaptation.png"] = "Regret, pull by pull"
    gaps_file = results / "table1-gaps.csv"
    if gaps_file.exists():
        cell, bins = read_gaps(gaps_file)
        written.append(gaps_figure(bins, cell, docs / "table1_gaps.png"))
        pictures["table1_gaps.png"] = "Is the best arm found? The paper's appendix C"
    else:
        notes.append(f"Without appendix C: k5-n500 was not played (`{COMMAND}`).")
    report = docs / "table1.md"
    report.write_text(document(table, pictures, notes), encoding="utf-8")
    written.insert(0, report)
    if readme is not None:
        replace_between(readme, short_table(table))
        written.append(readme)
    return written


def read_adaptation(path: Path) -> tuple[dict[Cell, dict[str, Curve]], int]:
    """Regret by pull, for each cell and agent; a bin lies at its middle on a logarithmic axis.

    :return: curves, and the number of trials
    """
    columns = ("arms", "episodes", "agent", "first_pull", "last_pull", "regret", "standard_error")
    points: dict[Cell, dict[str, list[tuple[float, float, float]]]] = {}
    rows = read_table(path, (*columns, "instances"), COMMAND)
    for row in rows:
        cell = Cell(int(row["arms"]), int(row["episodes"]))
        pull = np.sqrt(float(row["first_pull"]) * float(row["last_pull"]))
        point = (float(pull), float(row["regret"]), float(row["standard_error"]))
        points.setdefault(cell, {}).setdefault(row["agent"], []).append(point)
    curves = {
        cell: {agent: Curve(*np.array(sorted(line)).T) for agent, line in lines.items()}
        for cell, lines in points.items()
    }
    return curves, int(rows[0]["instances"])


def read_gaps(path: Path) -> tuple[Cell, Bins]:
    """How often the best arm is found, by agent and bin of gaps; and the cell."""
    columns = ("arms", "episodes", "agent", "gap_from", "gap_to", "trials", "share")
    bins: Bins = {}
    rows = read_table(path, (*columns, "standard_error"), COMMAND)
    for row in rows:
        gap = float(row["gap_from"]), float(row["gap_to"])
        value = float(row["share"]), float(row["standard_error"]), int(row["trials"])
        bins.setdefault(row["agent"], {})[gap] = value
    return Cell(int(rows[0]["arms"]), int(rows[0]["episodes"])), bins


def read_curves(path: Path, table: Table) -> Mapping[str, tuple[Cell, bool, Curve]]:
    """The learning curves of bandits that the table has with random play and Gittins."""
    found: dict[str, tuple[Cell, bool, list[tuple[float, float]]]] = {}
    for row in read_table(path, COLUMNS, CURVES_COMMAND):
        options = dict(part.split("=") for part in row["options"].split())
        if row["task"] != "bandit" or {options.get("alpha"), options.get("beta")} - {"1.0", None}:
            continue
        cell = Cell(int(options["arms"]), int(row["episodes"]))
        if {"random", "gittins"} <= table.get(cell, {}).keys():
            run = found.setdefault(row["run"], (cell, bool(row["init"]), []))
            run[2].append((float(row["steps"]), float(row["return"])))
    curves = {}
    for name, (cell, began, points) in found.items():
        x, y = np.array(points).T
        curves[name] = cell, began, Curve(x, y, np.zeros_like(y))
    return curves
