"""What matches tell: the rows of a table, what each part of a trial brings, the best arm by gaps.

The contest, which names each cell's best mean and tests the others against it, is among all agents
that one could deploy in any cell: the baselines, the finite-horizon Gittins index among them, and
the trained agents, however they were trained. The exact optimum is outside of it, and who does not
know the prior has a contest apart: see :func:`~rl2_sb3.paper.contest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rl2_sb3.benchmark import Match
from rl2_sb3.evaluation import Evaluation, standard_error, trial_tasks
from rl2_sb3.matches import Played
from rl2_sb3.paper import Contender, PaperTable, contest

Floats = NDArray[np.float64]
Row = dict[str, Any]
Matches = Mapping[Match, Played]

POINTS = 60  # of an adaptation curve, at most
GAPS = (0, 0.01, 0.05, 0.1, 0.3, 0.5, 1)  # the paper's appendix C
TRAINING = ("steps", "seconds", "hardware", "teacher")


def with_optimum(table: PaperTable, played: Matches) -> Matches:
    """The matches of one cell, and the value of knowing the task as if it had played them too."""
    if not table.optimum or not played:
        return played
    match, each = next(iter(played.items()))
    assert each.result.optimal is not None
    episodes = match.cell.episodes
    returns = np.repeat(each.result.optimal[:, None], episodes, axis=1)
    result = Evaluation(returns, each.result.lengths, each.result.successes, each.result.optimal)
    contender = Contender(table.optimum, "exact", table.optimum)
    match = match._replace(contender=contender, spec=contender.spec, file=None)
    return {**played, match: Played(result, None, None, {}, each.version)}


def table_rows(played: Matches, reference: str) -> list[Row]:
    """Rows of a table, for the matches of one cell.

    ``against`` names the best of an agent's contest; ``behind`` is how far its mean is below it,
    and ``ahead`` how far above the reference's, with the standard errors of the paired differences.
    """
    best: dict[str, str] = {}
    for match in sorted(played, key=lambda match: played[match].result.mean, reverse=True):
        best.setdefault(contest(match.contender.group), match.contender.name)
    named = {match.contender.name: each.result.trial_returns for match, each in played.items()}
    return [
        _table_row(match, each, named, best[contest(match.contender.group)], reference)
        for match, each in played.items()
    ]


def _table_row(
    match: Match, each: Played, returns: Mapping[str, Floats], best: str, reference: str
) -> Row:
    regret, ours = each.result.regret.sum(axis=1), each.result.trial_returns
    row: Row = {
        **match.cell.columns,
        "agent": match.contender.name,
        "spec": match.spec,
        "group": match.contender.group,
        "instances": match.trials,
        "mean": f"{each.result.mean:.7g}",
        "standard_error": f"{each.result.standard_error:.4g}",
        "exact": "" if each.exact is None else f"{each.exact:.7g}",
        "regret": f"{regret.mean():.6g}",
        "regret_standard_error": f"{standard_error(regret):.4g}",
        **dict.fromkeys(("against", "behind", "behind_standard_error", "welch", "paired"), ""),
        **dict.fromkeys(("ahead", "ahead_standard_error"), ""),
        "seed": match.seed,
        **{key: each.info.get(key, "") for key in TRAINING},
        "training_seed": each.info.get("seed", ""),
        "version": each.version,
    }
    if contest(match.contender.group):
        welch, paired = p_values(ours, returns[best])
        row |= {"against": best, **_difference("behind", returns[best] - ours)}
        row |= {"welch": f"{welch:.4g}", "paired": f"{paired:.4g}"}
    if reference in returns:
        row |= _difference("ahead", ours - returns[reference])
    return row


def _difference(name: str, values: Floats) -> Row:
    error = f"{standard_error(values):.4g}"
    return {name: f"{values.mean():.6g}", f"{name}_standard_error": error}


def p_values(sample: Floats, best: Floats) -> tuple[float, float]:
    """How probable so low a mean is if the true one is not below the best's, by two t-tests.

    :return: Welch's test, as in the paper, and the paired one, which common instances make sharper
    """
    difference = sample - best
    if np.all(difference == difference[0]):  # no variance: t is 0 / 0 or infinite
        p = 0.5 if difference[0] == 0 else float(difference[0] > 0)
        paired = p
    else:
        paired = float(stats.ttest_rel(sample, best, alternative="less").pvalue)
    if sample.std() == best.std() == 0:
        return paired, paired
    welch = stats.ttest_ind(sample, best, equal_var=False, alternative="less")
    return float(welch.pvalue), paired


def adaptation_rows(match: Match, each: Played, table: PaperTable) -> list[Row]:
    """Regret per pull, over bins that are as wide as they are late; or reward of each episode."""
    if table.adaptation == "regret":
        values, edges = each.result.regret, pull_bins(match.cell.episodes)
    else:
        values, edges = each.result.returns, list(range(match.cell.episodes + 1))
    rows = []
    for begin, end in pairwise(edges):
        mean = values[:, begin:end].mean(axis=1)  # a trial's: its pulls are not independent
        rows.append(
            {
                **match.cell.columns,
                "agent": match.contender.name,
                f"first_{table.unit}": begin + 1,
                f"last_{table.unit}": end,
                table.adaptation: f"{mean.mean():.5g}",
                "standard_error": f"{standard_error(mean):.3g}",
                "instances": match.trials,
            }
        )
    return rows


def pull_bins(pulls: int) -> list[int]:
    """Edges of at most ``POINTS`` bins, each as wide as the next on a logarithmic axis."""
    edges = np.rint(np.geomspace(1, pulls + 1, POINTS + 1)).astype(int) - 1
    return [int(edge) for edge in np.unique(edges)]


def gap_rows(match: Match, each: Played) -> list[Row]:
    """How often the most-pulled arm is the best, by the gap between the two best arms' means.

    Where several arms were pulled most often, the best among them counts as its share of them.
    """
    assert each.pulls is not None
    means = np.concatenate(list(trial_tasks(match.tasks(), match.trials, match.seed)))
    found, gap = best_found(means, each.pulls)
    rows = []
    for low, high in pairwise(GAPS):
        inside = found[(gap >= low) & (gap < high)]
        if len(inside):
            rows.append(
                {
                    **match.cell.columns,
                    "agent": match.contender.name,
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
