"""One run of ``rl2 train`` or ``rl2 imitate`` for a configuration: begun, watched and judged.

Each has a folder of its own, named after its words, and goes on there where it was stopped.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from rl2_sb3.processes import follow_parent
from rl2_sb3.registry import did_you_mean

LOG = "rl2.log"
"""What a run prints, in its folder."""
AGENT = "agent.safetensors"
EVERY = 1.0
"""Seconds between two looks at a run's log."""
STOPPED = tuple(128 + each for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
"""Status of a run that a signal stopped, which has saved itself."""


class Failed(RuntimeError):  # noqa: N818 (a configuration's, and no error of the sweep)
    """A configuration came to nothing; the message says why."""


class NoMetric(ValueError):  # noqa: N818 (one more kind of a wrong file)
    """A run logged no such metric."""


class Outcome(NamedTuple):
    """What came of a run.

    :param values: of the metric, as it was logged
    :param stopped: early, and not at its end
    """

    values: list[float]
    stopped: bool


def folder_of(out: Path, words: Sequence[str]) -> Path:
    """The folder of a run with these words: the same for each sweep that asks for them."""
    name = hashlib.sha256(json.dumps(list(words)).encode()).hexdigest()[:10]
    return out / "runs" / name


def play(
    words: Sequence[str],
    folder: Path,
    metric: str,
    report: Callable[[int, float], bool],
    ending: Callable[[], bool],
) -> Outcome:
    """Run one of our commands in a folder, or go on there.

    :param words: the command, such as ``train bandit``, without the folder
    :param metric: a column of its ``progress.csv``
    :param report: told each entry of the log by its number, from 1, and the metric's value; whether
        to stop the run
    :param ending: whether the sweep is ended meanwhile
    :raises Failed: it failed
    :raises NoMetric: it logged no such metric
    :raises KeyboardInterrupt: the sweep, or a signal, stopped it
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / AGENT).exists():  # written last, by a run with the same words
        return _judged(folder, metric)
    told = [*words, f"--out={folder}", "--resume"]
    process = get_context("spawn").Process(target=_begin, args=(told, folder / LOG))
    process.start()
    told_of = 0
    try:
        while True:
            process.join(EVERY)
            values = read_metric(folder, metric)
            for number in range(told_of + 1, len(values) + 1):
                if report(number, values[number - 1]):
                    _stop(process)
                    return Outcome(values[:number], True)
            told_of = len(values)
            if process.exitcode is not None:
                break
            if ending():
                raise KeyboardInterrupt
    except BaseException:
        _stop(process)
        raise
    if process.exitcode in STOPPED:
        raise KeyboardInterrupt
    if process.exitcode:
        raise Failed(_reason(folder / LOG, process.exitcode))
    return _judged(folder, metric)


def _judged(folder: Path, metric: str) -> Outcome:
    """What came of a run that is done.

    :raises Failed: the metric is no number at the end
    :raises NoMetric: it logged no such metric
    """
    values = read_metric(folder, metric)
    if not values:
        raise NoMetric(_no_metric(folder, metric))
    if not math.isfinite(values[-1]):
        raise Failed(f"{metric} is {values[-1]} at the end: learning has diverged")
    return Outcome(values, False)


def _begin(words: list[str], log: Path) -> None:
    """In a process of its own: become ``rl2``, which prints into a file."""
    follow_parent()
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = ["rl2", *words]
    runpy.run_module("rl2_sb3", run_name="__main__")


def _stop(process: BaseProcess) -> None:
    """Let a run save itself and end."""
    if process.is_alive():
        process.terminate()
    process.join()


def read_metric(folder: Path, metric: str) -> list[float]:
    """The values of a metric in a run's log, in their order."""
    return [float(row[metric]) for row in _rows(folder) if row.get(metric)]


def _rows(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's log that are whole."""
    try:
        with (folder / "progress.csv").open(newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(line.replace("\0", "") for line in file))
    except FileNotFoundError:
        return []
    return [row for row in rows if None not in row and None not in row.values()]


def _no_metric(folder: Path, metric: str) -> str:
    rows = _rows(folder)
    logged = sorted({name for row in rows for name, value in row.items() if value})
    hint = did_you_mean(metric, logged) or f" There is: {', '.join(logged) or 'nothing'}."
    return (
        f"{folder} has logged no metric {metric!r}.{hint} Name another in the sweep's file: the "
        "runs that are done are not run again."
    )


def _reason(log: Path, status: int) -> str:
    """Why a run failed: the last that it said."""
    if status < 0:
        return f"{signal.Signals(-status).name} ended it, perhaps for its memory; see {log}"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.strip(" │╰╯─╭╮") for line in lines]
    said = [line for line in said if line]
    return f"{said[-1] if said else f'status {status}'} (see {log})"


def seconds_since(start: float) -> float:
    """Seconds, to be kept."""
    return round(time.monotonic() - start, 1)
