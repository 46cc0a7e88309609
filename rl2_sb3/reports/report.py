"""The report of a table of the paper, from the tables under ``results/`` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rl2_sb3.paper import Cell, PaperTable
from rl2_sb3.registry import HOW_TO_INSTALL
from rl2_sb3.reports.agents import look, place
from rl2_sb3.reports.figures import (
    Layout,
    Line,
    adaptation_figure,
    learning_figure,
    shares_figure,
)
from rl2_sb3.reports.gaps import gaps_figure, read_gaps
from rl2_sb3.reports.history import COLUMNS
from rl2_sb3.reports.logs import Curve
from rl2_sb3.reports.means import Table, play_command, published, read_means, share
from rl2_sb3.reports.tables import read_table
from rl2_sb3.reports.words import Column, has_trained, replace_between, short_table


class Book(NamedTuple):
    """What is a table's own in its report."""

    paper: PaperTable
    document: Callable[[Table, Mapping[str, str], Sequence[str]], str]
    """The report, from the means, pictures with what they show, and notes on what is missing."""
    short: Sequence[Column]
    layout: Callable[[Iterable[Cell]], Layout]
    shown: Sequence[str]
    """The baselines of figures with lines."""
    adaptation: tuple[str, str, str]
    """Words below, beside and above that figure, above with the number of trials."""
    adaptation_title: str
    curves_command: str
    learning_title: str
    one: str
    """The agent that is 1 on the scale of learning, where random play is 0."""
    panel: Callable[[Cell], str]
    series: Callable[[Cell], str]
    tasks: str


def write_report(book: Book, results: Path, docs: Path, readme: Path | None = None) -> list[Path]:
    """Write ``table1.md``, or whatever the table's name is, and its pictures.

    :param results: folder of the tables
    :param docs: folder to write into
    :param readme: a file whose text between two markers is replaced by the short table
    :return: what was written
    :raises ValueError: a table that is missing or cannot be read
    """
    paper, name, command = book.paper, book.paper.name, play_command(book.paper)
    table = read_means(results / f"{name}.csv", paper)
    pictures = {f"{name}.png": "Where each agent comes to"}
    written = [shares_figure(table, paper, book.layout(table), docs / f"{name}.png")]
    notes = []
    curves_file = results / "learning_curves.csv"
    lines, apart = read_curves(curves_file, table, book) if curves_file.exists() else ([], [])
    if apart:
        notes.append(
            f"Without the learning curves of {'; '.join(cell.words for cell in apart)}: they lie "
            f"between {look('random').name} and {look(book.one).name}, which were not both played "
            f"there (`{command}`)."
        )
    if lines:
        series = list(dict.fromkeys(book.series(cell) for cell in paper.cells))
        zero_one = "random play", look(book.one).name
        written.append(learning_figure(lines, series, zero_one, docs / f"{name}_learning.png"))
        pictures[f"{name}_learning.png"] = book.learning_title
    elif not apart:
        notes.append(
            f"Without learning curves: `{curves_file.name}` has none of these settings "
            f"(`{book.curves_command}`)."
        )
    if not has_trained(table):
        notes.append(
            f"Without trained agents: none was installed when the {book.tasks} were played "
            f"(`{HOW_TO_INSTALL}`, then `{command}`)."
        )
    curves, instances = read_adaptation(results / f"{name}-adaptation.csv", paper)
    below, beside, above = book.adaptation
    words = below, beside, above.format(f"{instances:,}")
    out, regret = docs / f"{name}_adaptation.png", paper.adaptation == "regret"
    written.append(adaptation_figure(curves, book.layout(curves), book.shown, words, out, regret))
    pictures[out.name] = book.adaptation_title
    gaps_file = results / f"{name}-gaps.csv"
    if gaps_file.exists():
        title, bins = read_gaps(gaps_file)
        written.append(gaps_figure(bins, title, book.shown, docs / f"{name}_gaps.png"))
        pictures[f"{name}_gaps.png"] = "Is the best arm found? The paper's appendix C"
    elif name == "table1":
        notes.append(f"Without appendix C: k5-n500 was not played (`{command}`).")
    report = docs / f"{name}.md"
    report.write_text(book.document(table, pictures, notes), encoding="utf-8")
    written.insert(0, report)
    if readme is not None:
        replace_between(readme, name, short_table(table, published(paper), book.short))
        written.append(readme)
    return written


def read_adaptation(path: Path, paper: PaperTable) -> tuple[dict[Cell, dict[str, Curve]], int]:
    """What each part of a trial brings, for each cell and agent.

    A part of several episodes lies at its middle on a logarithmic axis.

    :return: curves, and the number of trials
    """
    first, last = f"first_{paper.unit}", f"last_{paper.unit}"
    columns = (*paper.columns, "agent", first, last, paper.adaptation, "standard_error")
    points: dict[Cell, dict[str, list[tuple[float, float, float]]]] = {}
    rows = read_table(path, (*columns, "instances"), play_command(paper))
    for row in rows:
        middle = float(np.sqrt(float(row[first]) * float(row[last])))
        point = (middle, float(row[paper.adaptation]), float(row["standard_error"]))
        points.setdefault(paper.cell_of(row), {}).setdefault(row["agent"], []).append(point)
    curves = {
        cell: {agent: Curve(*np.array(sorted(line)).T) for agent, line in lines.items()}
        for cell, lines in points.items()
    }
    return curves, int(rows[0]["instances"])


def read_curves(path: Path, table: Table, book: Book) -> tuple[list[Line], list[Cell]]:
    """The learning curves of a table's settings, from random play, 0, to another agent, 1.

    Runs that were told different things in training are in panels of their own.

    :return: the curves, and the settings without them, where one of these agents did not play
    """
    apart = set()
    kinds = {str(each.group): each.name for each in book.paper.lineup if each.trained}
    found: dict[str, tuple[Cell, str, bool, list[tuple[float, float]]]] = {}
    for row in read_table(path, COLUMNS, book.curves_command):
        options = dict(part.split("=") for part in row["options"].split())
        if row["task"] == book.paper.task and _as_in(book.paper, options):
            cell = book.paper.cell_of({**options, "episodes": row["episodes"]})
            value = share(float(row["return"]), table.get(cell, {}), book.one)
            if value is None:
                apart.add(cell)
            else:
                told = cell, kinds[row["training"]], bool(row["init"])
                run = found.setdefault(row["run"], (*told, []))
                run[-1].append((float(row["steps"]), value))
    lines = []
    for cell, agent, began, points in sorted(
        found.values(), key=lambda run: (run[0].episodes, place(run[1]))
    ):
        x, y = np.array(points).T
        curve = Curve(x, y, np.zeros_like(y))
        panel = f"{book.panel(cell)}\n{look(agent).name}"
        lines.append(Line(panel, book.series(cell), began, curve))
    return lines, [cell for cell in book.paper.cells if cell in apart]


def _as_in(paper: PaperTable, options: Mapping[str, str]) -> bool:
    """Whether a run's options are the paper's; what it does not tell has its default."""
    return all(float(options.get(key, value)) == value for key, value in paper.options.items())
