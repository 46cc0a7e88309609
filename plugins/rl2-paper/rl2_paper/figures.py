"""The pictures of a table: how far agents come, how soon within a trial, how they learned it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, PercentFormatter

from rl2_paper.definitions import Cell, ReturnsTable
from rl2_paper.results import Result, Table, published, share
from rl2_paper.styles import place, style_of
from rl2_sb3.plots.logs import Curve, Floats, running_mean
from rl2_sb3.plots.style import GREY, PALETTE, drawing

LIMITS = ("bayes-optimum", "known-mdp")

Layout = Sequence[Sequence[Cell | None]]
"""Rows of panels, each a cell's or empty."""
ACROSS = 4
"""Panels of learning curves side by side; more go below."""


class Line(NamedTuple):
    """A run's learning curve, and where it belongs."""

    panel: str
    series: str
    began: bool
    """Whether it went on from another run."""
    curve: Curve


def shares_figure(table: Table, paper: ReturnsTable, layout: Layout, out: Path) -> Path:
    """Draw where each agent lies between random play and the table's reference.

    A panel per cell, a line per agent; ours with two standard errors of the paired difference to
    the reference, and the published mean on the same scale.
    """
    reference, numbers = paper.reference, published(paper)
    left_out = ("random", reference, *LIMITS)  # 0 %, 100 %, and what no agent can reach
    agents = [a for a in _agents([*table.values(), *numbers.values()]) if a not in left_out]
    width = 3.2 + 2.5 * len(layout[0])
    with drawing(out, width, 1.7 + (0.21 * len(agents) + 0.5) * len(layout)) as f:
        seen: dict[int, list[float]] = {cell.episodes: [0.98, 1.0] for cell in table}
        panels = _panels(f, layout, "all")
        for cell, axes in panels:
            results = table[cell]
            for y, agent in enumerate(agents):
                if agent in numbers.get(cell, {}):
                    x = share(numbers[cell][agent], results, reference)
                    axes.plot(_seen(x), y, "D", mfc="none", mec=GREY, ms=6, zorder=3)
                    seen[cell.episodes].append(_seen(x))
                if agent in results:
                    x = share(results[agent].mean, results, reference)
                    error = 2 * _share_error(results, results[agent], reference)
                    colour, size = style_of(agent).colour, 7 if agent.startswith("rl2") else 5
                    axes.errorbar(_seen(x), y, xerr=error, fmt="o", color=colour, ms=size, zorder=4)
                    seen[cell.episodes] += [_seen(x) - error, _seen(x) + error]
            axes.axvline(1, color="black", lw=1, zorder=2)
            axes.set_yticks(range(len(agents)), [style_of(agent).name for agent in agents])
            axes.set_ylim(len(agents) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
        for cell, axes in panels:
            low, high = np.nanmin(seen[cell.episodes]), np.nanmax(seen[cell.episodes])
            # Wider towards the right, where the good agents are.
            axes.set_xscale("function", functions=(_widen, _narrow))
            axes.set_xlim(max(low - 0.05, -0.05), min(high + 0.015, 1.15))
            wide = low < 0.3 or high > 1.02
            ticks = (0, 0.5, 0.75, 0.9, 1, 1.1) if wide else (0.3, 0.5, 0.7, 0.8, 0.9, 1)
            axes.xaxis.set_major_locator(FixedLocator(ticks))
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        f.supxlabel(
            f"Mean return, from random play (0%) to {style_of(reference).name} (100%); "
            "stretched to the right",
            size=11,
        )
        ours = Line2D([], [], marker="o", ls="", color="black", ms=5)
        theirs = Line2D([], [], marker="D", ls="", mfc="none", mec=GREY, ms=6)
        words = (
            f"measured here, ± 2 s.e. of the paired difference to {style_of(reference).name}",
            "published",
        )
        f.legend([ours, theirs], words, loc="outside upper center", ncols=2)
    return out


def _widen(x: Floats) -> Floats:
    return -np.log(np.maximum(1.25 - x, 1e-9))


def _narrow(x: Floats) -> Floats:
    return 1.25 - np.exp(-x)


def _seen(x: float | None) -> float:
    return np.nan if x is None else x


def _share_error(results: Mapping[str, Result], result: Result, reference: str) -> float:
    if result.ahead_standard_error is None or not {"random", reference} <= results.keys():
        return 0.0
    return result.ahead_standard_error / (results[reference].mean - results["random"].mean)


def adaptation_figure(
    curves: Mapping[Cell, Mapping[str, Curve]],
    layout: Layout,
    shown: Sequence[str],
    words: tuple[str, str, str],
    out: Path,
    regret: bool,
) -> Path:
    """Draw what each part of a trial brings, a panel per cell, the parts on a logarithmic axis.

    :param shown: baselines; trained agents are shown besides
    :param words: below, beside and above
    :param regret: averaged over bins, to be drawn on a logarithmic axis; or else reward of each
        episode, to be smoothed over a tenth of its number to both sides
    """
    agents = with_trained(curves.values(), shown)
    with drawing(out, 1 + 3.2 * len(layout[0]), 1.2 + 2.5 * len(layout)) as figure:
        for cell, axes in _panels(figure, layout, "row"):
            for agent in agents:
                if agent in curves[cell]:
                    x, y, error = curves[cell][agent]
                    if not regret:
                        reach = np.arange(len(x)) // 10
                        # Errors of neighbours are of the same tasks: averaging shrinks none.
                        y, error = running_mean(y, reach), running_mean(error, reach)
                    style = style_of(agent)
                    axes.plot(x, y, **style.line(), zorder=3 + style.width)
                    band = np.maximum(y - 2 * error, 1e-4), y + 2 * error
                    axes.fill_between(x, *band, color=style.colour, alpha=0.1, lw=0)
            axes.set_xscale("log")
            axes.set_xlim(1, cell.episodes)
            known = (1, 2, 5, 10, 20, 50, 100, 200, 500)
            ticks = sorted({tick for tick in known if tick < 0.8 * cell.episodes} | {cell.episodes})
            axes.set_xticks(ticks, map(str, ticks))
            if regret:
                axes.set_yscale("log")
                axes.yaxis.set_major_locator(FixedLocator([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]))
                axes.yaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
        below, beside, above = words
        figure.supxlabel(below)
        figure.supylabel(beside)
        legend(figure, above)
    return out


def learning_figure(
    lines: Sequence[Line], series: Sequence[str], zero_one: tuple[str, str], out: Path
) -> Path:
    """Draw learning curves, on a scale from random play, 0, to another agent, 1.

    :param lines: on that scale
    :param series: all that there may be, so that each keeps its colour
    :param zero_one: the names of both
    """
    names = list(dict.fromkeys(line.panel for line in lines))
    across = min(len(names), ACROSS)
    down = -(-len(names) // ACROSS)
    wide = 3.7 if across < 4 else 3
    with drawing(out, 1 + wide * max(across, 2), 0.6 + 3.5 * down) as figure:
        panels = figure.subplots(down, across, sharey=True, squeeze=False)
        for axes in panels.flat[len(names) :]:
            axes.set_axis_off()
        for name, axes in zip(names, panels.flat, strict=False):
            axes.set_title(name)
            axes.axhline(1, color="black", lw=1, ls="--", zorder=2)
            axes.axhline(0, color=GREY, lw=1, ls=":", zorder=2)
            axes.set_xlabel("Environment steps (millions)")
            for line in lines:
                if line.panel == name:
                    dashes, colour = "--" if line.began else "-", _colour(line.series, series)
                    axes.plot(line.curve.x / 1e6, line.curve.y, dashes, color=colour, lw=1.8)
            axes.set_xlim(left=0)
        zero, one = zero_one
        for axes in panels[:, 0]:
            axes.set_ylabel(f"Mean return\n(0: {zero}, 1: {one})")
        handles = [
            Line2D([], [], color=_colour(name, series), lw=1.8, label=name)
            for name in series
            if any(line.series == name for line in lines)
        ]
        if any(line.began for line in lines):
            handles += [Line2D([], [], color=GREY, ls="--", label="goes on from another run")]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return out


def _colour(name: str, series: Sequence[str]) -> str:
    return PALETTE[list(series).index(name) % len(PALETTE)]


def _agents(cells: Iterable[Mapping[str, object]]) -> list[str]:
    return sorted({agent for results in cells for agent in results}, key=place)


def with_trained(cells: Iterable[Mapping[str, object]], shown: Sequence[str]) -> list[str]:
    """Those of some agents that are there, and all trained ones."""
    return [agent for agent in _agents(cells) if agent in shown or agent.startswith("rl2")]


def _panels(
    figure: Figure, layout: Layout, sharey: Literal["all", "row"]
) -> list[tuple[Cell, Axes]]:
    """A panel per cell."""
    panels = figure.subplots(len(layout), len(layout[0]), squeeze=False, sharey=sharey)
    found = []
    for cells, row in zip(layout, panels, strict=True):
        for cell, axes in zip(cells, row, strict=True):
            if cell is None:
                axes.set_axis_off()
            else:
                axes.set_title(cell.words, size=10)
                found.append((cell, axes))
    return found


def legend(figure: Figure, note: str, columns: int = 5) -> None:
    """One legend of all panels, above them."""
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=columns,
        title=note,
        title_fontsize=9,
    )
