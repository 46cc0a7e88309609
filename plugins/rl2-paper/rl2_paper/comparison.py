"""What jobs tell: the rows of a table, and what each part of a trial brings.

The best mean of a cell is named, and the others are tested against it, among all agents that one
could deploy in any cell: the baselines, the finite-horizon Gittins index among them, and the
trained agents, however they were trained. The exact optimum is outside of this comparison group,
and who does not know the prior has one of its own: see
:func:`~rl2_paper.definitions.comparison_group`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2_paper.cache import Played
from rl2_paper.definitions import Entry, ReturnsTable, comparison_group
from rl2_paper.jobs import Job
from rl2_paper.significance import p_values
from rl2_sb3.evaluation import Evaluation, standard_error

Floats = NDArray[np.float64]
Row = dict[str, Any]
PlayedJobs = Mapping[Job, Played]

POINTS = 60  # of an adaptation curve, at most
TRAINING = ("steps", "seconds", "hardware", "teacher")


def with_optimum(table: ReturnsTable, played: PlayedJobs) -> PlayedJobs:
    """The jobs of one cell, and the value of knowing the task as if it had played them too."""
    if not table.optimum or not played:
        return played
    job, each = next(iter(played.items()))
    assert each.result.optimal is not None
    episodes = job.cell.episodes
    returns = np.repeat(each.result.optimal[:, None], episodes, axis=1)
    result = Evaluation(returns, each.result.lengths, each.result.successes, each.result.optimal)
    entry = Entry(table.optimum, "exact", table.optimum)
    job = job._replace(entry=entry, spec=entry.spec, file=None)
    return {**played, job: Played(result, None, None, {}, each.version)}


def table_rows(played: PlayedJobs, reference: str) -> list[Row]:
    """Rows of a table, for the jobs of one cell.

    ``against`` names the best of an agent's comparison group; ``behind`` is how far its mean is
    below it, and ``ahead`` how far above the reference's, with the standard errors of the paired
    differences.
    """
    best: dict[str, str] = {}
    for job in sorted(played, key=lambda job: played[job].result.mean, reverse=True):
        best.setdefault(comparison_group(job.entry.group), job.entry.name)
    named = {job.entry.name: each.result.trial_returns for job, each in played.items()}
    return [
        _table_row(job, each, named, best[comparison_group(job.entry.group)], reference)
        for job, each in played.items()
    ]


def _table_row(
    job: Job, each: Played, returns: Mapping[str, Floats], best: str, reference: str
) -> Row:
    regret, ours = each.result.regret.sum(axis=1), each.result.trial_returns
    row: Row = {
        **job.cell.columns,
        "agent": job.entry.name,
        "spec": job.spec,
        "group": job.entry.group,
        "instances": job.trials,
        "mean": f"{each.result.mean:.7g}",
        "standard_error": f"{each.result.standard_error:.4g}",
        "exact": "" if each.exact is None else f"{each.exact:.7g}",
        "regret": f"{regret.mean():.6g}",
        "regret_standard_error": f"{standard_error(regret):.4g}",
        **dict.fromkeys(("against", "behind", "behind_standard_error", "welch", "paired"), ""),
        **dict.fromkeys(("ahead", "ahead_standard_error"), ""),
        "seed": job.seed,
        **{key: each.info.get(key, "") for key in TRAINING},
        "training_seed": each.info.get("seed", ""),
        "version": each.version,
    }
    if comparison_group(job.entry.group):
        welch, paired = p_values(ours, returns[best])
        row |= {"against": best, **_difference("behind", returns[best] - ours)}
        row |= {"welch": f"{welch:.4g}", "paired": f"{paired:.4g}"}
    if reference in returns:
        row |= _difference("ahead", ours - returns[reference])
    return row


def _difference(name: str, values: Floats) -> Row:
    error = f"{standard_error(values):.4g}"
    return {name: f"{values.mean():.6g}", f"{name}_standard_error": error}


def adaptation_rows(job: Job, each: Played, table: ReturnsTable) -> list[Row]:
    """Regret per pull, over bins that are as wide as they are late; or reward of each episode."""
    if table.adaptation == "regret":
        values, edges = each.result.regret, pull_bins(job.cell.episodes)
    else:
        values, edges = each.result.returns, list(range(job.cell.episodes + 1))
    rows = []
    for begin, end in pairwise(edges):
        mean = values[:, begin:end].mean(axis=1)  # a trial's: its pulls are not independent
        rows.append(
            {
                **job.cell.columns,
                "agent": job.entry.name,
                f"first_{table.unit}": begin + 1,
                f"last_{table.unit}": end,
                table.adaptation: f"{mean.mean():.5g}",
                "standard_error": f"{standard_error(mean):.3g}",
                "instances": job.trials,
            }
        )
    return rows


def pull_bins(pulls: int) -> list[int]:
    """Edges of at most ``POINTS`` bins, each as wide as the next on a logarithmic axis."""
    edges = np.rint(np.geomspace(1, pulls + 1, POINTS + 1)).astype(int) - 1
    return [int(edge) for edge in np.unique(edges)]
