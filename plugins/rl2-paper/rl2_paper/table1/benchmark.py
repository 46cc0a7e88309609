"""Playing Table 1, and the paper's appendix C: how often the best arm is found."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2_paper.benchmark import merge_rows, play_table
from rl2_paper.cache import Played
from rl2_paper.definitions import Cell
from rl2_paper.jobs import Job
from rl2_paper.options import BenchmarkOptions
from rl2_paper.table1.lineup import TABLE1
from rl2_sb3.evaluation import standard_error, trial_tasks
from rl2_sb3.tables import Row

Floats = NDArray[np.float64]

GAP_CELL = Cell(5, 500)  # of the paper's appendix C
GAPS = (0, 0.01, 0.05, 0.1, 0.3, 0.5, 1)  # the same


def run(config: BenchmarkOptions) -> None:
    """Play, and write the table, regrets pull by pull, and how often the best arm is found."""
    played = play_table(TABLE1, config).get(GAP_CELL, {})
    rows = [row for job, each in played.items() for row in gap_rows(job, each)]
    merge_rows(config.out / "table1-gaps.csv", rows, TABLE1)


def gap_rows(job: Job, each: Played) -> list[Row]:
    """How often the most-pulled arm is the best, by the gap between the two best arms' means.

    Where several arms were pulled most often, the best among them counts as its share of them.
    """
    assert each.pulls is not None
    means = np.concatenate(list(trial_tasks(job.tasks(), job.trials, job.seed)))
    found, gap = best_found(means, each.pulls)
    rows: list[Row] = []
    for low, high in pairwise(GAPS):
        inside = found[(gap >= low) & (gap < high)]
        if len(inside):
            rows.append(
                {
                    **job.cell.columns,
                    "agent": job.entry.name,
                    "gap_from": low,
                    "gap_to": high,
                    "trials": len(inside),
                    "share": f"{inside.mean():.5g}",
                    "standard_error": f"{standard_error(inside):.3g}",
                }
            )
    return rows


def best_found(means: Floats, pulls: NDArray[Any]) -> tuple[Floats, Floats]:
    """For each trial: was the best arm pulled most (1, 0, or its share of a tie), and its gap.

    :param means: of the arms, (trials, arms)
    :param pulls: of the arms, (trials, arms)
    """
    most = pulls == pulls.max(axis=1, keepdims=True)
    best = means.argmax(axis=1)
    ordered = np.sort(means, axis=1)
    found = most[np.arange(len(most)), best] / most.sum(axis=1)
    return np.asarray(found, np.float64), np.asarray(ordered[:, -1] - ordered[:, -2])
