"""The tables of ``rl2 evaluate``: as files, and on the screen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from rl2_sb3.cli.entries import Entry, Trials
from rl2_sb3.cli.screen import show
from rl2_sb3.evaluation import Evaluation
from rl2_sb3.provenance import version
from rl2_sb3.signals import training
from rl2_sb3.significance import paired_p_value, standard_error
from rl2_sb3.successes import SUCCESSES, in_words
from rl2_sb3.tables import merge_table

COMPARED = ("training", "compared_with", "difference", "difference_standard_error", "p")
"""How an agent was trained; its mean less that of the agent it is compared with, and a paired
t-test."""
SUMMARY = (
    *("task", "options", "episodes", "agent", "trials", "mean", "standard_error", "exact"),
    *("deterministic", "seed", "steps_trained", "seconds", "hardware", "teacher"),
    *(*COMPARED, "version"),
)
WORDS = (
    *("task", "options", "agent", "deterministic", "hardware", "teacher"),
    *("training", "compared_with", "version"),
)
"""Columns that are not of numbers."""
METRICS = ("agent", "metric", "episode", "mean", "standard_error", "trials")
"""Trials: those of which the metric is known."""
PLAYED = ("task", "options", "episodes", "agent", "trials", "deterministic", "seed")
"""Key of a row: a later row replaces one with the same key."""
TRAINING = {"steps_trained": "steps", "seconds": "seconds"}
TRAINING |= {"hardware": "hardware", "teacher": "teacher"}
"""Columns, and what an agent's file calls them."""

Results = Mapping[str, Evaluation]
Row = dict[str, Any]


def summary_rows(
    results: Results,
    agents: Mapping[str, Entry],
    trials: Trials,
    deterministic: bool,
    seed: int,
) -> list[Row]:
    """A row for each agent; the first is what the others are compared with."""
    first, reference = next(iter(results.items()))
    rows = []
    for name, result in results.items():
        exact, info = agents[name].exact, agents[name].info
        row: Row = {
            "task": trials.task,
            "options": in_words(trials.options),
            "episodes": trials.episodes,
            "agent": name,
            "trials": len(result.returns),
            "mean": f"{result.mean:.6g}",
            "standard_error": f"{result.standard_error:.3g}",
            "exact": "" if exact is None else f"{exact:.6g}",
            "deterministic": deterministic,
            "seed": seed,
            **{name: (info or {}).get(key, "") for name, key in TRAINING.items()},
            **dict.fromkeys(COMPARED, ""),
            "training": "baseline" if info is None else training(info),
            "version": version(),
        }
        if name != first:
            difference = result.trial_returns - reference.trial_returns
            p = paired_p_value(result.trial_returns, reference.trial_returns)
            row |= {
                "compared_with": first,
                "difference": f"{difference.mean():.6g}",
                "difference_standard_error": f"{standard_error(difference):.3g}",
                "p": "" if math.isnan(p) else f"{p:.3g}",
            }
        rows.append(row)
    return rows


def keep_rows(table: Path, rows: Sequence[Row]) -> None:
    """Write rows into a table, in place of those of the same agent and trials; others stay."""
    merge_table(table, rows, PLAYED, later=COMPARED)


def metric_rows(results: Results) -> list[Row]:
    """The means of what environments report of episodes: a row for each agent, name and episode."""
    rows = []
    for agent, result in results.items():
        for name, values in result.metrics.items():
            for episode, column in enumerate(values.T, start=1):
                mean, error, known = _known(column)
                row = agent, name, episode, f"{mean:.6g}", f"{error:.3g}", known
                rows += [dict(zip(METRICS, row, strict=True))] if known else []
    return rows


def print_metrics(results: Results) -> None:
    """Print the means of what environments report of episodes."""
    table = Table(title="Metrics of episodes, means over trials")
    for heading in ("agent", "metric", "all episodes", "± s.e.", "first episode", "last episode"):
        left = heading in ("agent", "metric")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    for agent, result in results.items():
        for name, values in result.metrics.items():
            known = np.isfinite(values)
            trials, counts = np.where(known, values, 0).sum(axis=1), known.sum(axis=1)
            mean, error, _ = _known(trials[counts > 0] / counts[counts > 0])
            ends = (_known(values[:, i])[0] for i in (0, -1))
            table.add_row(agent, name, *(f"{x:.4g}" for x in (mean, error, *ends)))
    show(table)


def _known(values: NDArray[np.floating]) -> tuple[float, float, int]:
    """Mean and standard error of what is known, NaN where nothing is, and how much that is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan, standard_error(known), len(known)


def print_means(rows: Sequence[Row], results: Results) -> None:
    """Print the agents' means, the lowest first."""
    first = rows[0]["agent"]
    table = Table(title=f"Return per trial, {rows[0]['trials']:,} common trials")
    table.add_column("agent")
    for heading in ("mean", "± s.e.", "p", "exact", "first episode", "last episode"):
        table.add_column(heading, justify="right")
    for row in sorted(rows, key=lambda row: results[row["agent"]].mean):
        result = results[row["agent"]]
        table.add_row(
            row["agent"],
            f"{result.mean:.3f}",
            f"{result.standard_error:.3f}",
            "<1e-300" if row["p"] == "0" else row["p"],
            "" if row["exact"] == "" else f"{float(row['exact']):.3f}",
            f"{result.returns[:, 0].mean():.3f}",
            f"{result.returns[:, -1].mean():.3f}",
            style="bold" if row["agent"] == first else None,
        )
    if len(rows) > 1:
        table.caption = f"p: of a paired t-test against {first}, two-sided"
    show(table)


def print_successes(rows: Sequence[Sequence[str]]) -> None:
    """Print how often episodes succeed."""
    table = Table(title="Episodes that succeed, and the steps that these take")
    for heading in SUCCESSES:
        left = heading == "agent"
        table.add_column(heading.replace("_", " "), justify="left" if left else "right")
    shares = [SUCCESSES.index(name) for name in ("success", "no_longer_than_first")]
    for row in rows:
        cells = enumerate(row)
        table.add_row(*(f"{float(x):.1%}" if i in shares and x else x for i, x in cells))
    show(table)
