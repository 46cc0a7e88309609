"""When is memory reset? ``python -m docs.memory_figure docs/memory.png`` draws the answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle

from rl2_sb3.plots.style import GREY, PALETTE, drawing

# All lengths are in inches; heights are above the figure's foot.
WIDTH, HEIGHT = 12.0, 3.6
CELL, ROW, RADIUS = 0.47, 0.26, 0.15
EPISODE_GAP, MARGIN, TRIAL_GAP, LEFT = 0.38, 0.62, 0.12, 1.41
HEADLINE, TRIAL, EPISODE, INPUT, MEMORY, FATE, FOOT, TIME, KEY = (
    *(3.43, 3.03, 2.76, 2.62, 1.46),
    *(1.08, 0.84, 0.64, 0.25),
)


class Trial(NamedTuple):
    """What one trial shows."""

    words: str
    lengths: tuple[int, ...]
    """Steps of each episode."""
    colour: str
    tint: str


KEY_WORDS = (
    "$d$ = 1: an episode has ended. The same input holds the new episode's first state "
    "and the old one's last action and reward."
)
TRIALS = (
    Trial("Trial 1: three episodes with task A", (2, 3, 2), PALETTE[0], "#E3EFF7"),
    Trial("Trial 2: three episodes with task B", (3, 2, 2), PALETTE[1], "#FCEBDF"),
)


def memory_figure(out: Path) -> Path:
    """Draw two trials of three episodes, and the recurrent state that runs through each.

    :param out: .png, .svg or .pdf
    :return: ``out``
    :raises ValueError: another format
    """
    with drawing(out, WIDTH, HEIGHT) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, HEIGHT))
        axes.set_axis_off()
        left = LEFT
        for trial in TRIALS:
            right = _draw_trial(axes, trial, left)
            left = right + TRIAL_GAP
        middle = (LEFT + right) / 2
        _text(
            axes,
            middle,
            HEADLINE,
            "Memory is reset where a trial starts, nowhere else",
            size=13,
            weight="bold",
        )
        names = ("state", "last action, reward", "episode over?")
        for row, words in enumerate(names):
            _text(axes, LEFT - 0.1, INPUT - (row + 0.5) * ROW, words, GREY, ha="right", size=9)
        _text(axes, LEFT - 0.1, MEMORY, "memory\n(GRU state)", GREY, ha="right", size=9)
        _text(axes, LEFT - 0.1, TIME, "time", GREY, ha="right", size=9)
        _arrow(axes, (LEFT, TIME), (right, TIME), GREY)
        _text(axes, middle, KEY, KEY_WORDS)
    return out


def _draw_trial(axes: Axes, trial: Trial, left: float) -> float:
    """Draw a trial from ``left`` on; gives its right end."""
    cells, states = trial_positions(trial.lengths, left)
    right = states[-1] + MARGIN / 2
    height = TRIAL + 0.17 - FOOT
    axes.add_patch(Rectangle((left, FOOT), right - left, height, color=trial.tint))
    _text(axes, (left + right) / 2, TRIAL, trial.words, trial.colour, size=12, weight="bold")
    step = 0
    for episode, length in enumerate(trial.lengths):
        middle = (cells[step] + cells[step + length - 1] + CELL) / 2
        _text(axes, middle, EPISODE, f"episode {episode + 1}", trial.colour)
        for t in range(length):
            last = trial.lengths[episode - 1] - 1 if t == 0 else t - 1
            seen = f"$a_{last},\\ r_{last}$" if step else "–"
            _draw_input(axes, cells[step], (f"$s_{t}$", seen), step > 0 and t == 0, trial.colour)
            step += 1
    for begin, end, cell in zip(states[:-1], states[1:], cells, strict=True):
        _arrow(axes, (begin + RADIUS, MEMORY), (end - RADIUS, MEMORY), trial.colour, lw=1.8)
        _arrow(axes, (cell + CELL / 2, INPUT - 3 * ROW), (cell + CELL / 2, MEMORY), trial.colour)
    for k, x in enumerate(states):
        face, ink = (trial.colour, "white") if k else ("white", trial.colour)
        axes.add_patch(Circle((x, MEMORY), RADIUS, fc=face, ec=trial.colour, lw=1.5, zorder=3))
        _text(axes, x, MEMORY, f"$h_{k}$", ink)
    begins = "start = 1:\nreset to 0"
    _text(axes, left + 0.07, FATE, begins, trial.colour, weight="bold", ha="left")
    for k in np.cumsum(trial.lengths[:-1]):
        _text(axes, states[k], FATE, "carried\non", trial.colour)
    _text(axes, states[-1], FATE, "dropped", trial.colour)
    return right


def trial_positions(lengths: tuple[int, ...], left: float) -> tuple[list[float], list[float]]:
    """Where a trial's inputs begin, and where the memory before, between and after them lies."""
    cells, states, x = [], [left + MARGIN / 2], left + MARGIN
    for length in lengths:
        cells += [x + CELL * t for t in range(length)]
        states += [x + CELL * t for t in range(1, length)]
        x += CELL * length + EPISODE_GAP
        states.append(x - EPISODE_GAP / 2)
    return cells, states


def _draw_input(axes: Axes, x: float, words: tuple[str, str], over: bool, colour: str) -> None:
    """The column of what the policy is fed at a step."""
    for row, text in enumerate((*words, f"$d$ = {int(over)}")):
        y = INPUT - (row + 1) * ROW
        marked = over and row == 2
        axes.add_patch(Rectangle((x, y), CELL, ROW, fc=colour if marked else "white", ec=colour))
        _text(
            axes,
            x + CELL / 2,
            y + ROW / 2,
            text,
            "white" if marked else "black",
            weight="bold" if marked else "normal",
        )


def _arrow(
    axes: Axes, begin: tuple[float, float], end: tuple[float, float], colour: str, lw: float = 1.0
) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": lw, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, begin, arrowprops=style)


def _text(axes: Axes, x: float, y: float, words: str, colour: str = "black", **style: Any) -> None:
    style = {"ha": "center", "va": "center", "size": 10, **style}
    axes.text(x, y, words, color=colour, **style)


if __name__ == "__main__":
    print(memory_figure(Path(sys.argv[1])))
