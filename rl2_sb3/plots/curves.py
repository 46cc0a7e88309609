"""Two figures: learning over the steps of training, adaptation over the episodes of a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from rl2_sb3.plots import logs
from rl2_sb3.plots.logs import KL, Curve, running_mean
from rl2_sb3.plots.style import GREY, PALETTE, drawing

THIN_AND_THICK = "Thin: each log entry; thick: running mean"
MANY = 50  # episodes beyond which lines are smoothed and the axis is logarithmic


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
    configs, curves = list(map(logs.read_config, runs)), list(map(logs.read_progress, runs))
    labels = logs.run_labels(configs, runs)
    size, unit = logs.step_unit(last := max(curve.x[-1] for curve in curves))
    with drawing(out, 7.2, 4.2) as figure:
        axes = _axes(figure, logs.task_title(configs), THIN_AND_THICK)
        axes.set_xlabel(f"Environment steps{unit and f' ({unit})'}")
        axes.set_ylabel("Mean return of a trial (sum of rewards)")
        axes.set_xlim(0, last / size)
        for i, (curve, words) in enumerate(zip(curves, labels, strict=True)):
            _draw_run(axes, curve, size, i, words)
        ends = []
        for name, value in (references or {}).items():
            axes.axhline(value, color=GREY, lw=1, ls=(0, (4, 3)), zorder=2)
            ends.append(End(last / size, value, logs.reference_label(name, value), GREY))
        if len(runs) > 1:
            _legend_below(figure, axes)
        _label_ends(figure, axes, ends)
    return out


def imitation_curve(run: Path, out: Path) -> Path:
    """Draw the divergence from the teacher against the steps of imitation, logarithmically.

    :param run: folder of a run of `rl2 imitate`
    :param out: the figure, .png, .svg or .pdf
    :return: ``out``
    :raises ValueError: files that cannot be read
    """
    config, curve = logs.read_config(run), logs.read_progress(run, KL)
    size, unit = logs.step_unit(curve.x[-1])
    with drawing(out, 7.2, 4.2) as figure:
        note = f"Teacher: {config['teacher']}. {THIN_AND_THICK}"
        axes = _axes(figure, logs.task_title([config]), note)
        axes.set_xlabel(f"Environment steps{unit and f' ({unit})'}")
        axes.set_ylabel("KL divergence from the teacher (nats per step)")
        axes.set_xlim(0, curve.x[-1] / size)
        axes.set_yscale("log")
        _draw_run(axes, curve, size, 0, "")
    return out


def adaptation_curve(evaluation: Path, out: Path, title: str = "Adaptation within a trial") -> Path:
    """Draw the mean return of a trial's first, second, ... episode, a line for each agent.

    Agents whose names start with "RL2" are in front. Beyond fifty episodes lines are running means
    over a tenth of an episode's number to both sides, and the axis is logarithmic: most is
    learned in the first few.

    :param evaluation: CSV with the columns agent, episode (from 1), mean, standard_error, trials
    :param out: the figure, .png, .svg or .pdf
    :return: ``out``
    :raises ValueError: a file that cannot be read
    """
    curves, fewest, most = logs.read_evaluation(evaluation)
    last = max(curve.x[-1] for curve in curves.values())
    trials = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    note = f"Mean of {trials} trials, ± 2 standard errors"
    if last > MANY:
        note += "; smoothed over ± 10 % of the episode number"
    with drawing(out, 7.2, 4.2) as figure:
        axes = _axes(figure, title, note)
        axes.set_xlabel("Episode within the trial")
        axes.set_ylabel("Mean return")
        ends, marker = [], "o" if last <= 20 else ""
        ours_first = sorted(curves, key=lambda name: not name.startswith("RL2"))
        for i, name in enumerate(ours_first):
            ours, colour = name.startswith("RL2"), PALETTE[i % len(PALETTE)]
            x, y, error = curves[name]
            if last > MANY:
                reach = np.arange(len(x)) // 10
                # Errors of neighbours are of the same tasks: averaging does not shrink them.
                y, error = running_mean(y, reach), running_mean(error, reach)
            front = 4 if ours else 3
            alpha, width, size = (0.2, 2.8, 6) if ours else (0.1, 1.4, 4)
            band: Any = {"color": colour, "alpha": alpha, "lw": 0, "zorder": front - 1}
            axes.fill_between(x, y - 2 * error, y + 2 * error, **band)
            line: Any = {"lw": width, "marker": marker, "ms": size, "zorder": front}
            axes.plot(x, y, _dashes(i), color=colour, **line)
            ends.append(End(x[-1], y[-1], name, colour, ours))
        _episode_axis(axes, int(last))
        _label_ends(figure, axes, ends)
    return out


def _axes(figure: Figure, title: str, note: str) -> Axes:
    axes = figure.add_subplot()
    axes.set_title(title, pad=22)
    place: Any = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(note, (0, 1), (0, 8), color=GREY, size=9, **place)
    return axes


def _draw_run(axes: Axes, curve: Curve, size: float, i: int, words: str) -> None:
    """What a run logged, and over it its running mean, in the ``i``-th line's look."""
    n = len(curve.x)
    mean = running_mean(curve.y, np.minimum(np.arange(n), max(n // 40, 1)))
    x, colour = curve.x / size, PALETTE[i % len(PALETTE)]
    axes.plot(x, curve.y, color=colour, lw=0.7, alpha=0.35)
    marker = "o" if n == 1 else ""
    axes.plot(x, mean, _dashes(i), marker=marker, color=colour, lw=2, label=words, zorder=3)


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
    # If one column is too wide, its labels take several lines.
    layouts = [(columns, labels) for columns in range(min(len(labels), 4), 0, -1)]
    layouts += [(1, [fill(label, width) for label in labels]) for width in range(120, 20, -10)]
    height, legend = figure.get_figheight(), None
    for columns, words in layouts:
        if legend is not None:
            legend.remove()
        lines = sum(word.count("\n") + 1 for word in words)
        figure.set_figheight(height + 0.3 * lines)  # more than they take
        legend = figure.legend(handles, words, loc="outside lower center", ncols=columns)
        figure.draw_without_rendering()
        extent = legend.get_window_extent()
        if extent.width < figure.bbox.width:
            break
    figure.set_figheight(height + extent.height / figure.dpi)


def _label_ends(figure: Figure, axes: Axes, ends: Sequence[End]) -> None:
    """Name the lines to the right of the axes, none over another."""
    if not ends:
        return
    labels = []
    for end in ends:
        arrow = {"arrowstyle": "-", "color": end.colour, "lw": 1, "relpos": (0, 0.5)}
        style: Any = {"textcoords": "axes fraction", "va": "center", "annotation_clip": False}
        style |= {"size": 9, "weight": "bold" if end.bold else "normal"}
        style |= {"arrowprops": {**arrow, "shrinkA": 0, "shrinkB": 0}}
        style |= {"color": [0.75 * part for part in to_rgb(end.colour)]}  # letters are thin: darker
        labels.append(axes.annotate(end.words, (end.x, end.y), (1.045, 0.5), **style))
    figure.draw_without_rendering()  # sets the layout, from which the axes' height follows
    gap = 1.35 * 9 / 72 * figure.dpi / axes.bbox.height  # a line of text is 9 points high
    points = axes.transData.transform([(end.x, end.y) for end in ends])
    wanted = axes.transAxes.inverted().transform(points)[:, 1]
    for label, y in zip(labels, logs.spread(wanted, gap, gap / 2, 1 - gap / 2), strict=True):
        label.xyann = (1.045, float(y))
