"""Tables of results: CSV files whose rows commands replace."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl2_sb3.files import replace_text

Row = Mapping[str, Any]
REMOVE = "Move it away, and all rows will be written anew."


def read_table(
    path: Path, columns: Sequence[str], hint: str, incomplete: bool = False
) -> list[dict[str, str]]:
    """Rows of a table.

    :param columns: those that must be there
    :param hint: the way out, for errors
    :param incomplete: it may be empty, or end in a row that a kill cut short
    :raises ValueError: no such file, no rows, other columns, or a row that is longer or shorter
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows, header = list(reader), list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as CSV ({error}). {hint}") from error
    missing = [column for column in columns if column not in header]
    if missing and (header or not incomplete):
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}. {hint}")
    if incomplete and rows and None in rows[-1].values():
        rows.pop()
    for i, row in enumerate(rows):
        if None in row or None in row.values():
            raise ValueError(f"{path}: row {i + 2} has not {len(header)} cells. {hint}")
    if not rows and not incomplete:
        raise ValueError(f"{path} has no rows. {hint}")
    return rows


def own_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table that is to be written into; none if it is not there.

    :param columns: those that must be there
    :raises ValueError: they are not
    """
    return read_table(path, columns, REMOVE, incomplete=True) if path.exists() else []


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a table anew; a cell that a row does not have is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_text(path, text.getvalue())


def merge_table(
    path: Path,
    rows: Sequence[Row],
    key: Sequence[str],
    order: Callable[[Row], Any] = lambda _: 0,
    later: Sequence[str] = (),
) -> None:
    """Write rows into a table, in place of those with the same ``key``; the others stay.

    :param order: what the table is sorted by; by default rows stay in their order
    :param later: columns that an older table may lack: its rows get empty cells
    :raises ValueError: the file has other columns
    """
    if not rows:
        return
    columns = list(rows[0])
    old = own_table(path, [column for column in columns if column not in later])
    if old and (unknown := [column for column in old[0] if column not in columns]):
        raise ValueError(f"{path} has columns of its own, {', '.join(unknown)}. {REMOVE}")
    new = {tuple(str(row[name]) for name in key) for row in rows}
    kept = [row for row in old if tuple(row[name] for name in key) not in new]
    write_table(path, columns, sorted([*kept, *rows], key=order))
