"""A run's log: one ``progress.csv``, whose rows are those of the run, however often it was resumed.

A killed run may have logged past the checkpoint that it goes on from; these rows are taken away.
"""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import (
    KVWriter,
    Logger,
    TensorBoardOutputFormat,
    filter_excluded_keys,
)
from torch.utils.tensorboard.writer import SummaryWriter

from rl2_sb3.plots.logs import STEPS
from rl2_sb3.tables import write_table

Row = dict[str, str]
PART = re.compile(r"progress(?:-(\d+))?\.csv$")
"""Runs that were resumed by earlier versions have several."""


class ProgressFile(KVWriter):
    """A CSV with a row for each entry of the log, written as they come.

    :param path: the file, which may have rows already
    """

    def __init__(self, path: Path):
        self.path = path
        rows = read_rows(path) if path.exists() else []
        self.columns = list(rows[0]) if rows else []
        self._open()

    def _open(self) -> None:
        self._file = self.path.open("a", newline="", encoding="utf-8")

    def write(
        self,
        key_values: dict[str, Any],
        key_excluded: dict[str, tuple[str, ...]],
        step: int = 0,
    ) -> None:
        """Add a row; the file is written anew where it has a column that was not there before."""
        values = filter_excluded_keys(key_values, key_excluded, "csv")
        new = sorted(values.keys() - set(self.columns))
        if new:
            self._file.close()
            self.columns += new
            write_table(self.path, self.columns, read_rows(self.path))
            self._open()
        csv.writer(self._file, lineterminator="\n").writerow(
            [values.get(column, "") for column in self.columns]
        )
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Board(TensorBoardOutputFormat):
    """TensorBoard's files.

    :param folder: of the run
    :param steps: what was logged after them is not shown any more
    """

    def __init__(self, folder: Path, steps: int):
        self.writer = SummaryWriter(str(folder), purge_step=steps + 1 if steps else None)
        self._is_closed = False


def read_rows(path: Path) -> list[Row]:
    """The rows of a log that are whole: a kill or a full disk may have cut one short."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(line.replace("\0", "") for line in file))
    return [row for row in rows if None not in row and None not in row.values()]


def rows_until(out: Path, steps: int) -> list[Row]:
    """The rows of a run's log up to so many steps, in their order, of all its parts together."""
    parts = {int(m[1] or 1): path for path in out.glob("*.csv") if (m := PART.match(path.name))}
    kept: list[Row] = []
    for _, path in sorted(parts.items()):
        rows = [row for row in read_rows(path) if _steps(row) <= steps]
        begin = min(map(_steps, rows), default=math.inf)
        kept = [row for row in kept if _steps(row) < begin] + rows
    return kept


def _steps(row: Row) -> float:
    """At which it was written; a row that does not tell is of none."""
    try:
        return float(row[STEPS])
    except (KeyError, ValueError):
        return math.inf


def make_logger(out: Path, steps: int) -> Logger:
    """A logger into a run's folder, which goes on after so many steps.

    :param steps: what was logged after them is taken away
    """
    rows = rows_until(out, steps)
    path = out / "progress.csv"
    columns = list(dict.fromkeys(column for row in rows for column in row))
    write_table(path, columns, rows)
    for part in out.glob("progress-*.csv"):
        if PART.match(part.name):
            part.unlink()
    return Logger(str(out), [ProgressFile(path), Board(out, steps)])
