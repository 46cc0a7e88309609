"""Learning curves of runs as a table, small enough to be kept with the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rl2_sb3.reports.logs import read_config, read_progress, running_mean
from rl2_sb3.reports.tables import Row, merge_table

POINTS = 200  # of a run, at most
COLUMNS = ("run", "task", "options", "episodes", "init", "steps", "return")


def save_curves(runs: Sequence[Path], path: Path) -> Path:
    """Write the learning curves of runs into a table, in place of those of the same names.

    A curve is the running mean over a twentieth of the log, at ``POINTS`` steps at most. ``init``
    is the name of the run that one began with, empty for those that learned from scratch.

    :param runs: folders of runs; the folder's name is the run's
    :param path: CSV with the columns ``COLUMNS``
    :raises ValueError: two runs of one name, files that cannot be read
    """
    names = [run.resolve().name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"Two runs have one name: {', '.join(sorted(names))}. Rename a folder.")
    rows: list[Row] = []
    for run, name in zip(runs, names, strict=True):
        config, curve = read_config(run), read_progress(run)
        n = len(curve.x)
        mean = running_mean(curve.y, np.minimum(np.arange(n), max(n // 40, 1)))
        told = (
            name,
            config["task"],
            " ".join(f"{key}={value}" for key, value in config["options"].items()),
            config["episodes"],
            Path(config.get("init") or "").name,
        )
        for i in np.unique(np.linspace(0, n - 1, min(n, POINTS)).round().astype(int)):
            point = (int(curve.x[i]), f"{mean[i]:.6g}")
            rows.append(dict(zip(COLUMNS, (*told, *point), strict=True)))
    merge_table(path, rows, ("run",), lambda row: (row["run"], int(row["steps"])))
    return path
