"""What RL² does: ``python -m docs.episodes_figure docs/episodes.png`` draws it for the README.

Two episodes in one maze: of those that the play page has (docs/play/mazes.py), the one in which the
second episode saved most steps.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle

from docs.play.mazes import recorded
from rl2_sb3.plots.style import PALETTE, drawing

WIDTH, HEIGHT = 8.0, 5.7
"""Inches."""
WALL, GOAL = "#59636d", "#dc1414"
SAYS = ("Episode 1: it searches", "Episode 2: it remembers")


def episodes_figure(out: Path) -> Path:
    """Draw the ways of both episodes, seen from above, and the mean of all test mazes.

    :param out: the picture's file
    :return: ``out``
    """
    told = recorded()
    trial = told["kinds"][0]["trials"][0]
    first, second = told["mean_lengths"]
    with drawing(out, WIDTH, HEIGHT) as figure:
        figure.set_layout_engine("constrained", h_pad=0.15, w_pad=0.1)
        panels = figure.subplots(1, 2)
        for axes, words, episode in zip(panels, SAYS, trial["episodes"], strict=True):
            _draw(axes, trial["plan"], episode["way"])
            axes.set_title(words, size=18, loc="center", pad=10)
            steps = f"{len(episode['way']) - 1} steps to the goal"
            axes.set_xlabel(steps, size=18, color=PALETTE[0], weight="bold", labelpad=8)
        figure.supxlabel(
            "One trained agent in a new maze, without training in between.\n"
            f"Mean of 1000 mazes: {first:.0f} steps in episode 1, {second:.0f} in episode 2.",
            size=16,
        )
    return out


def _draw(axes: Axes, plan: list[str], way: list[list[float]]) -> None:
    """A maze with a way through it; lengths are in blocks, down is positive."""
    for y, row in enumerate(plan):
        for x, sign in enumerate(row):
            if sign in "#G":
                colour = WALL if sign == "#" else GOAL
                axes.add_patch(Rectangle((x, y), 1, 1, color=colour, lw=0.5))
            if sign == "G":
                axes.text(
                    x + 0.5, y + 0.5, "goal", color="white", size=15, ha="center", va="center"
                )
    x, y, _ = np.array(way).T
    axes.add_patch(Circle((x[0], y[0]), 0.17, fc="white", ec=PALETTE[0], lw=2.5, zorder=3))
    axes.plot(x, y, color=PALETTE[0], lw=3.5)
    _arrow(axes, x, y)
    axes.set(xlim=(0, len(plan[0])), ylim=(len(plan), 0), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)


def _arrow(axes: Axes, x: Any, y: Any) -> None:
    style = {"arrowstyle": "-|>", "color": PALETTE[0], "lw": 0, "mutation_scale": 32}
    axes.annotate("", (x[-1], y[-1]), (x[-3], y[-3]), arrowprops=style, zorder=4)


if __name__ == "__main__":
    print(episodes_figure(Path(sys.argv[1])))
