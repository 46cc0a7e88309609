"""The report of a table of the paper, from the tables under ``results/`` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rl2_paper.definitions import Cell, ReturnsTable
from rl2_paper.figures import (
    Layout,
    Line,
    adaptation_figure,
    learning_figure,
    shares_figure,
)
from rl2_paper.markdown import replace_between
from rl2_paper.result_tables import Row, has_trained, short_table
from rl2_paper.results import Table, play_command, published, read_results, share
from rl2_paper.styles import place, style_of
from rl2_sb3.plots.history import COLUMNS
from rl2_sb3.plots.logs import Curve
from rl2_sb3.registry import HOW_TO_INSTALL
from rl2_sb3.tables import read_table


class Part(NamedTuple):
    """A part of a report."""

    pictures: dict[Path, str]
    """Those that were drawn, and what they show."""
    notes: list[str]
    """On what is missing, and why."""


class Report(NamedTuple):
    """What is a table's own in its report."""

    paper: ReturnsTable
    document: Callable[[Table, Mapping[str, str], Sequence[str]], str]
    """The report, from the means, pictures with what they show, and notes on what is missing."""
    short: Sequence[Row]
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
    """What is played, in the plural."""
    more: Callable[[Path, Path], Part] | None = None
    """What else is drawn of the results, from the folder of tables and that of pages."""


def write_report(report: Report, results: Path, docs: Path, readme: Path | None) -> list[Path]:
    """Write ``table1.md``, or whatever the table's name is, and its pictures.

    :param results: folder of the tables
    :param docs: folder to write into
    :param readme: a file whose text between two markers is replaced by the short table
    :return: what was written
    :raises ValueError: a table that is missing or cannot be read
    """
    paper, name = report.paper, report.paper.name
    table = read_results(results / f"{name}.csv", paper)
    overview = shares_figure(table, paper, report.layout(table), docs / f"{name}.png")
    parts = [
        Part({overview: "Where each agent comes to"}, []),
        _learning(report, table, results, docs),
        _trained(report, table),
        _adaptation(report, results, docs),
    ]
    if report.more is not None:
        parts.append(report.more(results, docs))
    pictures = {out.name: words for part in parts for out, words in part.pictures.items()}
    notes = [note for part in parts for note in part.notes]
    page = docs / f"{name}.md"
    page.write_text(report.document(table, pictures, notes), encoding="utf-8")
    written = [page, *(out for part in parts for out in part.pictures)]
    if readme is not None:
        replace_between(readme, name, short_table(table, published(paper), report.short))
        written.append(readme)
    return written


def _learning(report: Report, table: Table, results: Path, docs: Path) -> Part:
    paper, path = report.paper, results / "learning_curves.csv"
    lines, apart = read_curves(path, table, report) if path.exists() else ([], [])
    notes = []
    if apart:
        notes.append(
            f"Without the learning curves of {'; '.join(cell.words for cell in apart)}: they lie "
            f"between {style_of('random').name} and {style_of(report.one).name}, which were not "
            f"both played there (`{play_command(paper)}`)."
        )
    if lines:
        series = list(dict.fromkeys(report.series(cell) for cell in paper.cells))
        zero_one = "random play", style_of(report.one).name
        out = learning_figure(lines, series, zero_one, docs / f"{paper.name}_learning.png")
        return Part({out: report.learning_title}, notes)
    if not apart:
        notes.append(
            f"Without learning curves: `{path.name}` has none of these settings "
            f"(`{report.curves_command}`)."
        )
    return Part({}, notes)


def _trained(report: Report, table: Table) -> Part:
    if has_trained(table):
        return Part({}, [])
    note = (
        f"Without trained agents: none was installed when the {report.tasks} were played "
        f"(`{HOW_TO_INSTALL}`, then `{play_command(report.paper)}`)."
    )
    return Part({}, [note])


def _adaptation(report: Report, results: Path, docs: Path) -> Part:
    paper = report.paper
    curves, instances = read_adaptation(results / f"{paper.name}-adaptation.csv", paper)
    below, beside, above = report.adaptation
    words = below, beside, above.format(f"{instances:,}")
    out, regret = docs / f"{paper.name}_adaptation.png", paper.adaptation == "regret"
    adaptation_figure(curves, report.layout(curves), report.shown, words, out, regret)
    return Part({out: report.adaptation_title}, [])


def read_adaptation(path: Path, paper: ReturnsTable) -> tuple[dict[Cell, dict[str, Curve]], int]:
    """What each part of a trial brings, for each cell and agent.

    A part of several episodes lies at its middle on a logarithmic axis.

    :return: curves, and the number of trials
    """
    first, last = f"first_{paper.unit}", f"last_{paper.unit}"
    columns = (*paper.columns, "agent", first, last, paper.adaptation, "standard_error")
    points: dict[Cell, dict[str, list[tuple[float, float, float]]]] = {}
    rows = read_table(path, (*columns, "instances"), f"Run `{play_command(paper)}`.")
    for row in rows:
        middle = float(np.sqrt(float(row[first]) * float(row[last])))
        point = (middle, float(row[paper.adaptation]), float(row["standard_error"]))
        points.setdefault(paper.cell_of(row), {}).setdefault(row["agent"], []).append(point)
    curves = {
        cell: {agent: Curve(*np.array(sorted(line)).T) for agent, line in lines.items()}
        for cell, lines in points.items()
    }
    return curves, int(rows[0]["instances"])


def read_curves(path: Path, table: Table, report: Report) -> tuple[list[Line], list[Cell]]:
    """The learning curves of a table's settings, from random play, 0, to another agent, 1.

    Runs that were told different things in training are in panels of their own.

    :return: the curves, and the settings without them, where one of these agents did not play
    """
    apart = set()
    found: dict[str, tuple[Cell, str, bool, list[tuple[float, float]]]] = {}
    for row in read_table(path, COLUMNS, f"Run `{report.curves_command}`."):
        options = dict(part.split("=") for part in row["options"].split())
        if row["task"] == report.paper.task and _as_in(report.paper, options):
            cell = report.paper.cell_of({**options, "episodes": row["episodes"]})
            value = share(float(row["return"]), table.get(cell, {}), report.one)
            if value is None:
                apart.add(cell)
            else:
                told = cell, _agent_of(report.paper, cell, row), bool(row["init"])
                run = found.setdefault(row["run"], (*told, []))
                run[-1].append((float(row["steps"]), value))
    lines = []
    for cell, agent, began, points in sorted(
        found.values(), key=lambda run: (run[0].episodes, place(run[1]))
    ):
        x, y = np.array(points).T
        curve = Curve(x, y, np.zeros_like(y))
        panel = f"{report.panel(cell)}\n{style_of(agent).name}"
        lines.append(Line(panel, report.series(cell), began, curve))
    return lines, [cell for cell in report.paper.cells if cell in apart]


def _agent_of(paper: ReturnsTable, cell: Cell, row: Mapping[str, str]) -> str:
    """Whose learning a run is, by its name; the first's that learned as it did if by none."""
    learned = [each for each in paper.lineup if each.group == row["training"]]
    specs = {each.spec.format(cell=cell.name): each.name for each in learned}
    named = [spec for spec in specs if row["run"].startswith(spec)]
    return specs[max(named, key=len)] if named else learned[0].name


def _as_in(paper: ReturnsTable, options: Mapping[str, str]) -> bool:
    """Whether a run's options are the paper's; what it does not tell has its default."""
    return all(float(options.get(key, value)) == value for key, value in paper.options.items())
