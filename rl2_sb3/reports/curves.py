"""Two figures: learning over the steps of training, adaptation over the episodes of a trial."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Okabe & Ito (2008): told apart with any colour vision. Its yellow is too pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"
STEPS, RETURN = "time/total_timesteps", "trial/return"
EVALUATION = ("agent", "episode", "mean", "standard_error", "trials")
UNSHOWN = ("steps", "device", "threads", "workers")  # they change where a run ends, not its course
BANDIT_ARMS = 5  # what `rl2 train bandit` takes by default; its class would import torch
MANY = 50  # episodes beyond which lines are smoothed and the axis is logarithmic
_PART = re.compile(r"progress(?:-(\d+))?\.csv$")


class Curve(NamedTuple):
    """Points of a line, ``(n,)`` each."""

    x: Floats
    y: Floats
    error: Floats
    """Standard error of ``y``; zeros where nothing is known of it."""


# --- data -----------------------------------------------------------------------------------------


def read_progress(run: Path) -> Curve:
    """Mean return of a trial against environment steps, over all the parts of a resumed run.

    A killed run may have logged past the checkpoint that it went on from: what the next part
    logged again is taken from there.

    :param run: folder with ``progress.csv`` and, after resumptions, ``progress-2.csv``, ...
    :raises ValueError: no such file, a file that cannot be read, or no finished trial yet
    """
    parts = {int(m[1] or 1): p for p in run.glob("progress*.csv") if (m := _PART.match(p.name))}
    if not parts:
        raise ValueError(f"{run} has no progress.csv: pass the folder of a run, as --out named it.")
    points: list[tuple[float, float]] = []
    end = math.inf
    for _, path in sorted(parts.items(), reverse=True):
        rows = _read_csv(path, (STEPS,), "Pass the folder of a run of `rl2 train`.", log=True)
        steps = [_number(path, row, STEPS) for row in rows if row[STEPS]]
        points += [
            (step, _number(path, row, RETURN))
            for row in rows
            if row.get(RETURN) and row[STEPS] and (step := _number(path, row, STEPS)) < end
        ]
        end = min([end, *steps])
    if not points:
        raise ValueError(
            f"{run} has logged no finished trial yet ('{RETURN}' is empty in its progress.csv): "
            "train until a trial has ended."
        )
    x, y = np.array(sorted(points)).T
    return Curve(x, y, np.zeros_like(y))


def read_evaluation(path: Path) -> tuple[dict[str, Curve], int, int]:
    """Mean return of each episode of a trial, by agent, in the file's order.

    :return: curves, the fewest and the most trials behind a point
    :raises ValueError: a file that cannot be read, lacks columns, or has an episode twice
    """
    hint = f"Its columns must be {','.join(EVALUATION)}: write it with `rl2 evaluate`."
    rows = _read_csv(path, EVALUATION, hint)
    if not rows:
        raise ValueError(f"{path} has no rows. {hint}")
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


def _read_csv(
    path: Path, columns: Sequence[str], hint: str, log: bool = False
) -> list[dict[str, str]]:
    """Rows as dicts. A ``log`` may be empty, or end in a row that a kill cut short."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows, header = list(reader), list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as CSV ({error}). {hint}") from error
    missing = [column for column in columns if column not in header]
    if missing and not (log and not header):
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}. {hint}")
    if log and rows and None in rows[-1].values():
        rows.pop()
    for i, row in enumerate(rows):
        if None in row or None in row.values():
            raise ValueError(f"{path}: row {i + 2} has not {len(header)} cells. {hint}")
    return rows


def _number(path: Path, row: Mapping[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path} has {row[column]!r} in '{column}': a finite number is needed.")
    return value


def read_config(run: Path) -> dict[str, Any]:
    """Settings of a run; a bandit's number of arms is always among its options.

    :raises ValueError: no ``config.json``, or not one of a run
    """
    path = run / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        options = dict(config["options"] or {})
        config = {**config, "task": str(config["task"]), "episodes": int(config["episodes"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not the config.json of a run ({type(error).__name__}: {error}). "
            "Pass the folder of a run of `rl2 train`."
        ) from error
    if config["task"] == "bandit":
        options = {"arms": BANDIT_ARMS} | options
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


# --- words ----------------------------------------------------------------------------------------


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
        ", ".join(
            _setting(key, c[key], str(c["task"])) for key in differing if c.get(key) is not None
        )
        for c in flat
    ]
    return [
        label if label and labels.count(label) == 1 else f"{label} ({run})".strip()
        for label, run in zip(labels, runs, strict=True)
    ]


def _setting(key: str, value: Any, task: str) -> str:
    name = key.removeprefix("options.")
    if name == "task":
        return str(value)
    if name == "algorithm":
        return str(value).upper()
    if name == "episodes":
        return _count(value, "pull" if task == "bandit" else "episode")
    if key == "options.arms":
        return _count(value, "arm")
    if isinstance(value, bool):
        value = "on" if value else "off"
    return f"{name.replace('_', ' ')} {f'{value:g}' if isinstance(value, float) else value}"


def task_title(configs: Sequence[Mapping[str, Any]]) -> str:
    """The task in words, as far as the runs share it: "Bernoulli bandit, 5 arms"."""
    tasks = list(dict.fromkeys(config["task"] for config in configs))
    episodes = {config["episodes"] for config in configs}
    words = " and ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks"
    if tasks == ["bandit"]:
        words = "Bernoulli bandit"
        arms = {config["options"]["arms"] for config in configs}
        words += f", {_count(arms.pop(), 'arm')}" if len(arms) == 1 else ""
    noun = "pull" if tasks == ["bandit"] else "episode"
    return words + (f", {_count(episodes.pop(), noun)} a trial" if len(episodes) == 1 else "")


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
    for least, size, name in (
        (1e9, 1e9, "billions"),
        (1e6, 1e6, "millions"),
        (1e4, 1e3, "thousands"),
    ):
        if steps >= least:
            return size, name
    return 1.0, ""


# --- drawing --------------------------------------------------------------------------------------

STYLE: Any = {  # matplotlib's own type of its keys differs between its versions
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
}


@contextmanager
def drawing(out: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure in our style, in inches, written to ``out`` at the end of the block.

    :raises ValueError: a format other than png, svg and pdf
    """
    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"out={str(out)!r}: end it in .png, .svg or .pdf.")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out)


class End(NamedTuple):
    """The right end of a line, and the words that name the line there."""

    x: float
    y: float
    words: str
    colour: str
    bold: bool = False


def learning_curve(
    runs: Sequence[Path], out: Path, references: Mapping[str, float] | None = None
) -> Path:
    """Draw the mean return of a trial against the steps of training.

    Behind a running mean over a twentieth of the run's log is, thin, what was logged.

    :param runs: folders of runs
    :param out: the figure, .png, .svg or .pdf
    :param references: name and mean return of what the runs are measured against
    :return: ``out``
    :raises ValueError: no runs, a folder without a finished trial, files that cannot be read
    """
    if not runs:
        raise ValueError("runs is empty: pass the folder of at least one run.")
    configs, curves = [read_config(run) for run in runs], [read_progress(run) for run in runs]
    size, unit = step_unit(last := max(curve.x[-1] for curve in curves))
    with drawing(out, 7.2, 4.2) as figure:
        axes = _axes(figure, task_title(configs), "Thin: each log entry; thick: running mean")
        axes.set_xlabel(f"Environment steps{unit and f' ({unit})'}")
        axes.set_ylabel("Mean return of a trial (sum of rewards)")
        axes.set_xlim(0, last / size)
        for i, (curve, words) in enumerate(zip(curves, run_labels(configs, runs), strict=True)):
            n = len(curve.x)
            mean = running_mean(curve.y, np.minimum(np.arange(n), max(n // 40, 1)))
            x, colour, dashes = curve.x / size, PALETTE[i % len(PALETTE)], _dashes(i)
            axes.plot(x, curve.y, color=colour, lw=0.7, alpha=0.35)
            marker = "o" if n == 1 else ""
            axes.plot(x, mean, dashes, marker=marker, color=colour, lw=2, label=words, zorder=3)
        ends = []
        for name, value in (references or {}).items():
            axes.axhline(value, color=GREY, lw=1, ls=(0, (4, 3)), zorder=2)
            ends.append(End(last / size, value, reference_label(name, value), GREY))
        if len(runs) > 1:
            _legend_below(figure, axes)
        _label_ends(figure, axes, ends)
    return out


def adaptation_curve(
    evaluation: Path, out: Path, unit: str = "episode", title: str = "Adaptation within a trial"
) -> Path:
    """Draw the mean return of a trial's first, second, ... episode, a line for each agent.

    Agents whose names start with "RL2" are in front. Beyond fifty episodes lines are running means
    over a tenth of an episode's number to both sides, and the axis is logarithmic: most is
    learned in the first few.

    :param evaluation: CSV with the columns agent, episode (from 1), mean, standard_error, trials
    :param out: the figure, .png, .svg or .pdf
    :param unit: what an episode is in this task: "pull" for bandits
    :return: ``out``
    :raises ValueError: a file that cannot be read
    """
    curves, fewest, most = read_evaluation(evaluation)
    last = max(curve.x[-1] for curve in curves.values())
    trials = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    note = f"Mean of {trials} trials, ± 2 standard errors"
    if last > MANY:
        note += "; smoothed over ± 10 % of the episode number"
    with drawing(out, 7.2, 4.2) as figure:
        axes = _axes(figure, title, note)
        axes.set_xlabel(f"Episode {'' if unit == 'episode' else f'({unit}) '}within the trial")
        axes.set_ylabel("Mean return")
        ends = []
        ours_first = sorted(curves, key=lambda name: not name.startswith("RL2"))
        for i, name in enumerate(ours_first):
            ours, colour = name.startswith("RL2"), PALETTE[i % len(PALETTE)]
            x, y, error = curves[name]
            if last > MANY:
                reach = np.arange(len(x)) // 10
                # Errors of neighbours are of the same tasks: averaging does not shrink them.
                y, error = running_mean(y, reach), running_mean(error, reach)
            front = 4 if ours else 3
            axes.fill_between(
                x,
                y - 2 * error,
                y + 2 * error,
                color=colour,
                alpha=0.2 if ours else 0.1,
                lw=0,
                zorder=front - 1,
            )
            axes.plot(
                x,
                y,
                _dashes(i),
                color=colour,
                lw=2.8 if ours else 1.4,
                marker="o" if last <= 20 else "",
                ms=6 if ours else 4,
                zorder=front,
            )
            ends.append(End(x[-1], y[-1], name, colour, ours))
        _episode_axis(axes, int(last))
        _label_ends(figure, axes, ends)
    return out


def _axes(figure: Figure, title: str, note: str) -> Axes:
    axes = figure.add_subplot()
    axes.set_title(title, pad=22)
    axes.annotate(
        note,
        (0, 1),
        (0, 8),
        xycoords="axes fraction",
        textcoords="offset points",
        color=GREY,
        size=9,
    )
    return axes


def _dashes(i: int) -> str:
    """A line's style: solid until the palette is used up."""
    return ("-", "--", ":", "-.")[i // len(PALETTE) % 4]


def _episode_axis(axes: Axes, last: int) -> None:
    """Ticks from the first episode to the last."""
    ticks = [10**power * digit for power in range(7) for digit in (1, 2, 5)]
    if last > MANY:
        axes.set_xscale("log")
        axes.set_xlim(1, last)
    else:
        step = next(tick for tick in ticks if last <= 10 * tick)
        ticks = [1, *range(step, last + 1, step)] if step > 1 else list(range(1, last + 1))
        margin = 0.03 * max(last - 1, 1)
        axes.set_xlim(1 - margin, last + margin)
    shown = [tick for tick in ticks if tick <= last]
    axes.set_xticks(shown, [f"{tick:,}" for tick in shown])
    axes.set_xticks([], minor=True)


def _legend_below(figure: Figure, axes: Axes) -> None:
    """In as many columns as the figure is wide; the figure grows by what the legend takes."""
    handles, labels = axes.get_legend_handles_labels()
    for columns in range(min(len(labels), 4), 0, -1):
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        figure.draw_without_rendering()
        extent = legend.get_window_extent()
        if columns == 1 or extent.width < figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)
            break
        legend.remove()


def _label_ends(figure: Figure, axes: Axes, ends: Sequence[End]) -> None:
    """Name the lines to the right of the axes, none over another."""
    if not ends:
        return
    labels = [
        axes.annotate(
            end.words,
            (end.x, end.y),
            (1.045, 0.5),
            textcoords="axes fraction",
            va="center",
            size=9,
            color=[0.75 * part for part in to_rgb(end.colour)],  # letters are thin: darker
            weight="bold" if end.bold else "normal",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": end.colour,
                "lw": 1,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
        for end in ends
    ]
    figure.draw_without_rendering()  # sets the layout, from which the axes' height follows
    gap = 1.35 * 9 / 72 * figure.dpi / axes.bbox.height  # a line of text is 9 points high
    points = axes.transData.transform([(end.x, end.y) for end in ends])
    wanted = axes.transAxes.inverted().transform(points)[:, 1]
    for label, y in zip(labels, spread(wanted, gap, gap / 2, 1 - gap / 2), strict=True):
        label.xyann = (1.045, float(y))
