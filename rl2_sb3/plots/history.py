"""Learning curves of runs as a table, small enough to be kept with the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from rl2_sb3.plots.logs import read_config, read_progress, running_mean
from rl2_sb3.signals import training
from rl2_sb3.tables import Row, merge_table

POINTS = 200  # of a run, at most
COLUMNS = ("run", "task", "options", "episodes", "init", "training", "steps", "return")


def save_curves(runs: Sequence[Path], path: Path) -> Path:
    """Write the learning curves of runs into a table, in place of those of the same names.

    A curve is the running mean over a twentieth of the log, at ``POINTS`` steps at most. ``init``
    is the name of the run that one went on from, if any; ``training`` is how they learned, all
    together; ``steps`` count from the first run's start.

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
        n, history = len(curve.x), _history(run)
        before = sum(earlier["steps"] for earlier in history)
        mean = running_mean(curve.y, np.minimum(np.arange(n), max(n // 40, 1)))
        told = (
            name,
            config["task"],
            " ".join(f"{key}={value}" for key, value in config["options"].items()),
            config["episodes"],
            Path(config.get("init") or "").name,
            training({**config, "history": history or _beginning(config)}),
        )
        for i in np.unique(np.linspace(0, n - 1, min(n, POINTS)).round().astype(int)):
            point = (before + int(curve.x[i]), f"{mean[i]:.6g}")
            rows.append(dict(zip(COLUMNS, (*told, *point), strict=True)))
    merge_table(path, rows, ("run",), lambda row: (row["run"], int(row["steps"])))
    return path


def _history(run: Path) -> list[dict[str, Any]]:
    """The runs that a run continued from, by its agent's file, which is written at its end."""
    path = run / "agent.safetensors"
    if not path.exists():
        return []
    with safe_open(path, "np") as file:
        info: dict[str, Any] = json.loads(file.metadata()["rl2_sb3"])["info"]
    return list(info.get("history", []))


def _beginning(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The same of a run that is not over, from the agent that it went on from."""
    if not config.get("init"):
        return []
    from rl2_sb3.agent_file import describe_agent  # plots need no torch, but for this

    info = describe_agent(config["init"])["info"]
    return [*info.get("history", []), info]
