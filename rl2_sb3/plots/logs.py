"""What figures are made of: the logs of runs and the tables of evaluations, read and worded."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl2_sb3.significance import standard_error
from rl2_sb3.tables import read_table, write_table

Floats = NDArray[np.float64]

STEPS, RETURN, KL = "time/total_timesteps", "trial/return", "imitation/kl"
WITHOUT = {
    RETURN: "train until a trial has ended. A run of `rl2 imitate` logs none: its curve is the "
    "learning_curve.png that was drawn at its end.",
    KL: "pass the folder of a run of `rl2 imitate` that has logged some batches.",
}
"""What to do where a log has nothing in a column."""
EVALUATION = ("agent", "episode", "mean", "standard_error", "trials")
UNSHOWN = ("steps", "device", "threads", "workers")  # they change where a run ends, not its course
_PART = re.compile(r"progress(?:-(\d+))?\.csv$")


class Curve(NamedTuple):
    """Points of a line, ``(n,)`` each."""

    x: Floats
    y: Floats
    error: Floats
    """Standard error of ``y``; zeros where nothing is known of it."""


def read_progress(run: Path, column: str = RETURN) -> Curve:
    """Mean return of a trial against environment steps, over all the parts of a resumed run.

    A killed run may have logged past the checkpoint that it went on from: what the next part
    logged again is taken from there.

    :param run: folder with ``progress.csv`` and, after resumptions, ``progress-2.csv``, ...
    :param column: what to read, ``RETURN`` or, of imitation, ``KL``
    :raises ValueError: no such file, a file that cannot be read, or nothing logged in the column
    """
    parts = {int(m[1] or 1): p for p in run.glob("progress*.csv") if (m := _PART.match(p.name))}
    if not parts:
        raise ValueError(f"{run} has no progress.csv: pass the folder of a run, as --out named it.")
    points: list[tuple[float, float]] = []
    end = math.inf
    for _, path in sorted(parts.items(), reverse=True):
        hint = "Pass the folder of a run of `rl2 train`."
        rows = read_table(path, (STEPS,), hint, incomplete=True)
        steps = [_number(path, row, STEPS) for row in rows if row[STEPS]]
        points += [
            (step, _number(path, row, column))
            for row in rows
            if row.get(column) and row[STEPS] and (step := _number(path, row, STEPS)) < end
        ]
        end = min([end, *steps])
    if not points:
        raise ValueError(f"{run} has no '{column}' in its progress.csv: {WITHOUT[column]}")
    x, y = np.array(sorted(points)).T
    return Curve(x, y, np.zeros_like(y))


def read_evaluation(path: Path) -> tuple[dict[str, Curve], int, int]:
    """Mean return of each episode of a trial, by agent, in the file's order.

    :return: curves, the fewest and the most trials behind a point
    :raises ValueError: a file that cannot be read, lacks columns, or has an episode twice
    """
    hint = f"Its columns must be {','.join(EVALUATION)}: write it with `rl2 evaluate`."
    rows = read_table(path, EVALUATION, hint)
    table: dict[str, dict[float, tuple[float, float]]] = {}
    for row in rows:
        episode, mean, error = (_number(path, row, c) for c in EVALUATION[1:4])
        agent = table.setdefault(row["agent"], {})
        if episode in agent:
            raise ValueError(
                f"{path} has episode {episode:g} of {row['agent']!r} twice: a figure shows one "
                "evaluation of each agent."
            )
        agent[episode] = mean, error
    trials = [int(_number(path, row, "trials")) for row in rows]
    curves = {
        name: Curve(*np.array([(x, *agent[x]) for x in sorted(agent)]).T)
        for name, agent in table.items()
    }
    return curves, min(trials), max(trials)


def write_adaptation(path: Path, agents: Mapping[str, NDArray[np.floating]]) -> None:
    """Write the table of an adaptation curve.

    :param agents: returns of each one's trials, ``(trials, episodes)``, NaN where a trial was cut
    """
    rows = []
    for name, returns in agents.items():
        for episode, column in enumerate(returns.T, start=1):
            played = column[~np.isnan(column)]
            if len(played):
                numbers = f"{played.mean():.6g}", f"{standard_error(played):.3g}", len(played)
                rows.append(dict(zip(EVALUATION, (name, episode, *numbers), strict=True)))
    write_table(path, EVALUATION, rows)


def _number(path: Path, row: Mapping[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path} has {row[column]!r} in '{column}': a finite number is needed.")
    return value


def read_config(run: Path) -> dict[str, Any]:
    """Settings of a run.

    :raises ValueError: no ``config.json``, or not one of a run
    """
    path = run / "config.json"
    if not path.exists():
        raise ValueError(
            f"There is no run {str(run)!r}: pass the folder of one, as --out named it."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        options = dict(config["options"] or {})
        config = {**config, "task": str(config["task"]), "episodes": int(config["episodes"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not the config.json of a run ({type(error).__name__}: {error}). "
            "Pass the folder of a run of `rl2 train`."
        ) from error
    return {**config, "options": options}


def running_mean(values: Floats, reach: NDArray[np.int64]) -> Floats:
    """Mean of ``values[i - reach[i]: i + reach[i] + 1]``, of what there is of it at the ends."""
    i = np.arange(len(values))
    begin, end = np.maximum(i - reach, 0), np.minimum(i + reach + 1, len(values))
    total = np.concatenate([[0.0], values.cumsum()])
    mean: Floats = (total[end] - total[begin]) / (end - begin)
    return mean


def spread(wanted: Floats, gap: float, low: float = 0.0, high: float = 1.0) -> Floats:
    """Positions nearest to the wanted ones that lie ``gap`` apart within ``low`` and ``high``.

    Least squares by pooling adjacent violators; where they cannot fit, they overlap the ends alike.
    """
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    pools: list[list[float]] = []
    for value in wanted[order] - steps:
        pools.append([value])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            violator = pools.pop()
            pools[-1] += violator
    room = high - low - steps[-1]
    low, high = (low, low + room) if room >= 0 else (low + room / 2, low + room / 2)
    found = np.empty(len(wanted))
    found[order] = np.clip([np.mean(p) for p in pools for _ in p], low, high) + steps
    return found


def run_labels(configs: Sequence[Mapping[str, Any]], runs: Sequence[Path]) -> list[str]:
    """What tells each run from the others, in a few words: "PPO, seed 1"."""
    flat = [
        {key: config.get(key) for key in ("task", "algorithm", "episodes")}
        | {f"options.{key}": value for key, value in config["options"].items()}
        | {key: value for key, value in config.items() if key not in ("options", *UNSHOWN)}
        for config in configs
    ]
    keys = list(dict.fromkeys(key for config in flat for key in config))
    differing = [key for key in keys if any(c.get(key) != flat[0].get(key) for c in flat)]
    differing.sort(key=lambda key: key == "seed")  # last, the others as they come
    labels = [
        ", ".join(_setting(key, c[key]) for key in differing if c.get(key) is not None)
        for c in flat
    ]
    return [
        label if label and labels.count(label) == 1 else f"{label} ({run})".strip()
        for label, run in zip(labels, runs, strict=True)
    ]


def _setting(key: str, value: Any) -> str:
    name = key.removeprefix("options.")
    if name == "task":
        return str(value)
    if name == "algorithm":
        return str(value).upper()
    if name == "episodes":
        return _count(value, "episode")
    if isinstance(value, bool):
        value = "on" if value else "off"
    return f"{name.replace('_', ' ')} {f'{value:g}' if isinstance(value, float) else value}"


def task_title(configs: Sequence[Mapping[str, Any]]) -> str:
    """The task in words, as far as the runs share it: "bandit, 10 episodes a trial"."""
    tasks = list(dict.fromkeys(config["task"] for config in configs))
    episodes = {config["episodes"] for config in configs}
    words = " and ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks"
    count = f", {_count(episodes.pop(), 'episode')} a trial" if len(episodes) == 1 else ""
    return words + count


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def reference_label(name: str, value: float) -> str:
    """Name and value with one decimal where that is exact, else four digits: "optimum 6.660"."""
    if value == round(value, 1):
        return f"{name} {value:,.1f}"
    digits = 3 - math.floor(math.log10(abs(value)))
    return f"{name} {value:,.{min(max(digits, 0), 3)}f}"


def step_unit(steps: float) -> tuple[float, str]:
    """Unit of an axis that ends at ``steps``: its size and its name."""
    units = (1e9, 1e9, "billions"), (1e6, 1e6, "millions"), (1e4, 1e3, "thousands"), (0, 1.0, "")
    return next((size, name) for least, size, name in units if steps >= least)
