"""Appendix C of the paper: how often the best arm is found, by its gap to the second best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter

from rl2_paper.figures import legend, with_trained
from rl2_paper.report import Part
from rl2_paper.results import play_command
from rl2_paper.styles import style_of
from rl2_paper.table1.lineup import TABLE1
from rl2_sb3.plots.style import drawing
from rl2_sb3.tables import read_table

SHOWN = ("greedy", "ucb1", "thompson", "ots-density", "gittins", "gittins-finite-horizon")
"""The baselines of figures with lines: the paper's, one of each pair that looks alike."""
Bins = dict[str, dict[tuple[float, float], tuple[float, float, int]]]
"""For each agent and bin of gaps: share of trials, its standard error, trials."""


def gaps_part(results: Path, docs: Path) -> Part:
    """The picture, or a note that it is missing."""
    path = results / "table1-gaps.csv"
    if not path.exists():
        note = f"Without appendix C: k5-n500 was not played (`{play_command(TABLE1)}`)."
        return Part({}, [note])
    title, bins = read_gaps(path)
    out = gaps_figure(bins, title, SHOWN, docs / "table1_gaps.png")
    return Part({out: "Is the best arm found? The paper's appendix C"}, [])


def read_gaps(path: Path) -> tuple[str, Bins]:
    """The setting in words, and how often the best arm is found, by agent and bin of gaps."""
    columns = ("arms", "episodes", "agent", "gap_from", "gap_to", "trials", "share")
    bins: Bins = {}
    rows = read_table(path, (*columns, "standard_error"), f"Run `{play_command(TABLE1)}`.")
    for row in rows:
        gap = float(row["gap_from"]), float(row["gap_to"])
        value = float(row["share"]), float(row["standard_error"]), int(row["trials"])
        bins.setdefault(row["agent"], {})[gap] = value
    return f"{rows[0]['arms']} arms, {rows[0]['episodes']} pulls", bins


def gaps_figure(
    bins: Bins,
    title: str,
    shown: Sequence[str],
    out: Path,
) -> Path:
    """Draw how often the best arm is the most pulled, by its gap to the second best.

    :param shown: baselines; trained agents are shown besides
    """
    shown = with_trained([bins], shown)
    gaps = sorted({gap for agent in shown for gap in bins[agent]})
    trials = {gap: next(bins[a][gap][2] for a in shown if gap in bins[a]) for gap in gaps}
    with drawing(out, 9, 5) as figure:
        axes = figure.add_subplot()
        axes.set_title(title, pad=10)
        for i, agent in enumerate(shown):
            at = [x for x, gap in enumerate(gaps) if gap in bins[agent]]
            y, error = np.array([bins[agent][gaps[x]][:2] for x in at]).T
            shift, style = (i - (len(shown) - 1) / 2) * 0.7 / len(shown), style_of(agent)
            axes.errorbar(
                np.array(at) + shift,
                y,
                2 * error,
                **{**style.line(), "ls": "none"},
                marker=style.marker,
                ms=6,
                elinewidth=1.2,
            )
        for x in range(len(gaps) - 1):
            axes.axvline(x + 0.5, color="#E6E6E6", lw=0.8)
        axes.grid(visible=False, axis="x")
        words = [f"{low:g} to {high:g}\n{trials[low, high]:,} bandits" for low, high in gaps]
        axes.set_xticks(range(len(gaps)), words)
        axes.set_xlabel("Gap between the means of the two best arms")
        axes.set_ylabel("Trials whose most-pulled arm is the best")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylim(top=1.02)
        legend(figure, "± 2 standard errors", columns=4)
    return out
