"""Table 1 as pictures: how far each agent comes, and how soon within a trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, PercentFormatter

from rl2_sb3.reports.agents import look, place
from rl2_sb3.reports.logs import Curve, Floats
from rl2_sb3.reports.style import GREY, drawing
from rl2_sb3.reports.table1 import Cell, Entry, Table, published, share

REFERENCE = "gittins-finite-horizon"
SHOWN = ("greedy", "ucb1", "thompson", "ots-density", "gittins", REFERENCE)
"""The baselines of the figures with lines: the paper's, one of each pair that looks alike."""


def shares_figure(table: Table, out: Path) -> Path:
    """Draw where each agent lies between random play and the finite-horizon Gittins index.

    A panel per cell, a line per agent; ours with two standard errors of the paired difference to
    that index, and the paper's published mean on the same scale.
    """
    left_out = ("random", REFERENCE, "bayes-optimum")  # 0 %, 100 %, and for some cells only
    agents = [agent for agent in _agents(table.values()) if agent not in left_out]
    paper = published()
    rows, columns = _grid(table)
    with drawing(out, 3.2 + 2.5 * len(columns), 1.7 + (0.21 * len(agents) + 0.5) * len(rows)) as f:
        seen: dict[int, list[float]] = {n: [0.98, 1.0] for n in rows}
        panels = _panels(f, table, "all")
        for cell, axes in panels:
            entries = table[cell]
            for y, agent in enumerate(agents):
                if agent in paper.get(cell, {}):
                    x = share(paper[cell][agent], entries, REFERENCE)
                    axes.plot(_seen(x), y, "D", mfc="none", mec=GREY, ms=6, zorder=3)
                    seen[cell.episodes].append(_seen(x))
                if agent in entries:
                    x = share(entries[agent].mean, entries, REFERENCE)
                    error = 2 * _share_error(entries, entries[agent])
                    colour, size = look(agent).colour, 7 if agent.startswith("rl2") else 5
                    axes.errorbar(_seen(x), y, xerr=error, fmt="o", color=colour, ms=size, zorder=4)
                    seen[cell.episodes] += [_seen(x) - error, _seen(x) + error]
            axes.axvline(1, color="black", lw=1, zorder=2)
            axes.set_yticks(range(len(agents)), [look(agent).name for agent in agents])
            axes.set_ylim(len(agents) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
        for cell, axes in panels:
            low, high = np.nanmin(seen[cell.episodes]), np.nanmax(seen[cell.episodes])
            # Wider towards the right, where the good agents are.
            axes.set_xscale("function", functions=(_widen, _narrow))
            axes.set_xlim(max(low - 0.05, -0.05), min(high + 0.015, 1.15))
            ticks = (0, 0.5, 0.75, 0.9, 1, 1.1) if low < 0.3 else (0.3, 0.5, 0.7, 0.8, 0.9, 1)
            axes.xaxis.set_major_locator(FixedLocator(ticks))
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        f.supxlabel(
            "Mean return, from random play (0%) to the finite-horizon Gittins index (100%); "
            "stretched to the right",
            size=11,
        )
        ours = Line2D([], [], marker="o", ls="", color="black", ms=5)
        theirs = Line2D([], [], marker="D", ls="", mfc="none", mec=GREY, ms=6)
        words = (
            "measured here, ± 2 s.e. of the paired difference to finite-horizon Gittins",
            "the paper",
        )
        f.legend([ours, theirs], words, loc="outside upper center", ncols=2)
    return out


def _widen(x: Floats) -> Floats:
    return -np.log(np.maximum(1.25 - x, 1e-9))


def _narrow(x: Floats) -> Floats:
    return 1.25 - np.exp(-x)


def _seen(x: float | None) -> float:
    return np.nan if x is None else x


def _share_error(entries: Mapping[str, Entry], entry: Entry) -> float:
    if entry.ahead_standard_error is None or not {"random", REFERENCE} <= entries.keys():
        return 0.0
    return entry.ahead_standard_error / (entries[REFERENCE].mean - entries["random"].mean)


def adaptation_figure(
    curves: Mapping[Cell, Mapping[str, Curve]], instances: int, out: Path
) -> Path:
    """Draw the regret of each pull, a panel per cell."""
    shown = _with_trained(curves.values())
    rows, columns = _grid(curves)
    with drawing(out, 1 + 3.2 * len(columns), 1.2 + 2.5 * len(rows)) as figure:
        for cell, axes in _panels(figure, curves, "row"):
            for agent in shown:
                if agent in curves[cell]:
                    x, y, error = curves[cell][agent]
                    style = look(agent)
                    axes.plot(x, y, **style.line(), zorder=3 + style.width)
                    band = np.maximum(y - 2 * error, 1e-4), y + 2 * error
                    axes.fill_between(x, *band, color=style.colour, alpha=0.1, lw=0)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlim(1, cell.episodes)
            ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= cell.episodes]
            axes.set_xticks(ticks, map(str, ticks))
            axes.yaxis.set_major_locator(FixedLocator([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
        figure.supxlabel("Pull within the trial")
        figure.supylabel("Regret of a pull: best arm's mean − reward")
        _legend(figure, f"Mean of {instances:,} bandits, ± 2 standard errors")
    return out


def gaps_figure(
    bins: Mapping[str, Mapping[tuple[float, float], tuple[float, float, int]]],
    cell: Cell,
    out: Path,
) -> Path:
    """Draw how often the best arm is the most pulled, by its gap to the second best.

    :param bins: for each agent and bin of gaps: share of trials, its standard error, trials
    """
    shown = _with_trained([bins])
    gaps = sorted({gap for agent in shown for gap in bins[agent]})
    trials = {gap: next(bins[a][gap][2] for a in shown if gap in bins[a]) for gap in gaps}
    with drawing(out, 9, 5) as figure:
        axes = figure.add_subplot()
        axes.set_title(f"{cell.arms} arms, {cell.episodes} pulls", pad=10)
        for i, agent in enumerate(shown):
            at = [x for x, gap in enumerate(gaps) if gap in bins[agent]]
            y, error = np.array([bins[agent][gaps[x]][:2] for x in at]).T
            shift, style = (i - (len(shown) - 1) / 2) * 0.7 / len(shown), look(agent)
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
        _legend(figure, "± 2 standard errors", columns=4)
    return out


def learning_figure(
    curves: Mapping[str, tuple[Cell, bool, Curve]], table: Table, out: Path
) -> Path:
    """Draw the paper's Figure 2: learning curves on a scale from random play, 0, to Gittins, 1.

    :param curves: for each run its cell, whether it went on from another run, its curve
    """
    colours = {5: "#0072B2", 10: "#D55E00", 50: "#009E73"}
    episodes = sorted({cell.episodes for cell, _, _ in curves.values()})
    with drawing(out, 1 + 3.7 * max(len(episodes), 2), 3.9) as figure:
        panels = figure.subplots(1, len(episodes), sharey=True, squeeze=False)[0]
        for n, axes in zip(episodes, panels, strict=True):
            axes.set_title(f"n = {n} pulls")
            axes.axhline(1, color="black", lw=1, ls="--", zorder=2)
            axes.axhline(0, color=GREY, lw=1, ls=":", zorder=2)
            axes.set_xlabel("Environment steps (millions)")
            for cell, began, curve in curves.values():
                y = [_seen(share(value, table[cell], "gittins")) for value in curve.y]
                if cell.episodes == n:
                    dashes, colour = "--" if began else "-", colours.get(cell.arms, GREY)
                    axes.plot(curve.x / 1e6, y, dashes, color=colour, lw=1.8)
            axes.set_xlim(left=0)
        panels[0].set_ylabel("Mean return\n(0: random play, 1: Gittins)")
        arms = sorted({cell.arms for cell, _, _ in curves.values()})
        handles = [
            Line2D([], [], color=colours.get(k, GREY), lw=1.8, label=f"k = {k}") for k in arms
        ]
        if any(began for _, began, _ in curves.values()):
            handles += [Line2D([], [], color=GREY, ls="--", label="goes on from another run")]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return out


def _agents(cells: Iterable[Mapping[str, object]]) -> list[str]:
    return sorted({agent for entries in cells for agent in entries}, key=place)


def _with_trained(cells: Iterable[Mapping[str, object]]) -> list[str]:
    return [agent for agent in _agents(cells) if agent in SHOWN or agent.startswith("rl2")]


def _grid(cells: Iterable[Cell]) -> tuple[list[int], list[int]]:
    """The pulls, one row each, and the arms, one column each."""
    cells = list(cells)
    return sorted({cell.episodes for cell in cells}), sorted({cell.arms for cell in cells})


def _panels(
    figure: Figure, cells: Iterable[Cell], sharey: Literal["all", "row"]
) -> list[tuple[Cell, Axes]]:
    """A panel per cell: pulls downwards, arms to the right."""
    known = set(cells)
    rows, columns = _grid(known)
    panels = figure.subplots(len(rows), len(columns), squeeze=False, sharey=sharey)
    found = []
    for row, episodes in enumerate(rows):
        for column, arms in enumerate(columns):
            axes, cell = panels[row][column], Cell(arms, episodes)
            if cell in known:
                axes.set_title(f"k = {arms}, n = {episodes}", size=10)
                found.append((cell, axes))
            else:
                axes.set_axis_off()
    return found


def _legend(figure: Figure, note: str, columns: int = 5) -> None:
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
