"""Tables of results: CSV files whose rows commands replace."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl2_sb3.files import whole_table

Row = Mapping[str, Any]


def read_table(path: Path, columns: Sequence[str], command: str) -> list[dict[str, str]]:
    """Rows of a table.

    :param columns: those that must be there
    :param command: what writes the table
    :raises ValueError: no such file, no rows, or other columns
    """
    hint = f"Run `{command}`."
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows, header = list(reader), list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read ({error}). {hint}") from error
    missing = [column for column in columns if column not in header]
    if missing:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}. {hint}")
    if not rows:
        raise ValueError(f"{path} has no rows. {hint}")
    return rows


def own_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table that is to be written into; none if it is not there.

    :param columns: those that must be there
    :raises ValueError: they are not
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, found = list(reader), list(reader.fieldnames or [])
    missing = [column for column in columns if column not in found]
    if missing and found:
        raise ValueError(
            f"{path} lacks the columns {', '.join(missing)}: move it away, and all rows will be "
            "written anew."
        )
    return rows


def merge_table(
    path: Path, rows: Sequence[Row], key: Sequence[str], order: Callable[[Row], Any]
) -> None:
    """Write rows into a table, in place of those with the same ``key``; the others stay.

    :param order: what the table is sorted by
    :raises ValueError: the file has other columns
    """
    if not rows:
        return
    columns = list(rows[0])
    old = own_table(path, columns)
    if old and (unknown := [column for column in old[0] if column not in columns]):
        raise ValueError(
            f"{path} has columns of its own, {', '.join(unknown)}: move it away, and all rows will "
            "be written anew."
        )
    new = {tuple(str(row[name]) for name in key) for row in rows}
    kept = [row for row in old if tuple(row[name] for name in key) not in new]
    with whole_table(path) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([*kept, *rows], key=order))
