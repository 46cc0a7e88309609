"""The tables of ``rl2 evaluate``: as files, and on the screen."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rl2_sb3.cli.contenders import Contender, Trials
from rl2_sb3.evaluation import Evaluation
from rl2_sb3.files import whole_table
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
PLAYED = ("task", "options", "episodes", "agent", "trials", "deterministic", "seed")
"""What tells rows apart: a later one takes the place of one that has the same."""
TRAINING = ("steps", "seconds", "hardware", "teacher")

Results = Mapping[str, Evaluation]
Row = dict[str, Any]


def summary_rows(
    results: Results,
    agents: Mapping[str, Contender],
    trials: Trials,
    deterministic: bool,
    seed: int,
) -> list[Row]:
    """A row for each agent; the first is what the others are compared with."""
    first, reference = next(iter(results.items()))
    rows = []
    for name, result in results.items():
        exact, info = agents[name].exact, agents[name].info
        told = dict(info or {})
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
            **dict(zip(SUMMARY[10:14], (told.get(key, "") for key in TRAINING), strict=True)),
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


def add_columns(table: Path, columns: Sequence[str]) -> None:
    """Give a table that was written before these columns were thought of empty ones."""
    if not table.exists():
        return
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, found = list(reader), list(reader.fieldnames or [])
    new = [column for column in columns if column not in found]
    if not found or not new or set(new) - set(COMPARED):
        return
    with whole_table(table) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def keep_rows(table: Path, rows: Sequence[Row]) -> None:
    """Write rows into a table, in place of those of the same agent and trials; others stay."""
    add_columns(table, SUMMARY)
    merge_table(table, rows, PLAYED, order=lambda _: 0)


def write_adaptation(path: Path, results: Results) -> None:
    """Write the mean return of each episode of a trial."""
    with whole_table(path) as file:
        writer = csv.writer(file)
        writer.writerow(["agent", "episode", "mean", "standard_error", "trials"])
        for name, result in results.items():
            for episode, returns in enumerate(result.returns.T, start=1):
                row = [f"{returns.mean():.6g}", f"{standard_error(returns):.3g}", len(returns)]
                writer.writerow([name, episode, *row])


def print_means(rows: Sequence[Row], results: Results) -> None:
    """Print the agents' means, the lowest first."""
    first = rows[0]["agent"]
    table = Table(title=f"Return per trial, {rows[0]['trials']:,} common trials")
    table.add_column("agent", overflow="fold")  # the whole name
    for heading in ("mean", "± s.e.", "p", "exact", "first episode", "last episode"):
        table.add_column(heading, justify="right")
    for row in sorted(rows, key=lambda row: results[row["agent"]].mean):
        result = results[row["agent"]]
        table.add_row(
            row["agent"],
            f"{result.mean:.3f}",
            f"{result.standard_error:.3f}",
            row["p"],
            "" if row["exact"] == "" else f"{float(row['exact']):.3f}",
            f"{result.returns[:, 0].mean():.3f}",
            f"{result.returns[:, -1].mean():.3f}",
            style="bold" if row["agent"] == first else None,
        )
    if len(rows) > 1:
        table.caption = f"p: of a paired t-test against {first}, two-sided"
    Console().print(table)


def print_successes(rows: Sequence[Sequence[str]]) -> None:
    """Print how often episodes succeed."""
    table = Table(title="Episodes that succeed, and the steps that these take")
    for heading in SUCCESSES:
        left = heading == "agent"
        table.add_column(heading.replace("_", " "), justify="left" if left else "right")
    shares = [SUCCESSES.index(name) for name in ("success", "no_longer_than_first")]
    for row in rows:
        table.add_row(
            *(
                f"{float(cell):.1%}" if column in shares and cell else cell
                for column, cell in enumerate(row)
            )
        )
    Console().print(table)
