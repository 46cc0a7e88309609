"""Pieces of pages in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

HERE = "plugins/rl2-paper"
CURVES = f"{HERE}/results/learning_curves.csv"
README = f"{HERE}/README.md"
OUT_OF_SWEEPS = f"--out {HERE}/results/sweeps"
"""As the commands of reports tell them, which are run in a checkout's root."""


def replace_between(path: Path, name: str, text: str) -> None:
    """Put a text between the two markers of a file.

    :param name: of the markers: table1 for <!-- table1 --> and <!-- /table1 -->
    :raises ValueError: the markers are not there, one time each
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    old = path.read_text(encoding="utf-8")
    if (old.count(begin), old.count(end)) != (1, 1) or old.index(end) < old.index(begin):
        raise ValueError(f"{path} needs one line {begin} and below it one line {end}.")
    before, after = old.split(begin)[0], old.split(end)[1]
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def commands(*lines: str) -> str:
    """What writes the report anew."""
    note = "<!-- not run: hours of play and training -->"  # by the tests of the documentation
    return f"## Commands\n\n{note}\n```console\n" + "\n".join(lines) + "\n```"


def plain(value: float | None, digits: int) -> str:
    """A number, or nothing."""
    return "" if value is None else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Hours and minutes, such as 2:05."""
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}"
