"""Tables of episodes that succeed or fail: how often they do, and how long those take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl2_sb3.evaluation import Evaluation
from rl2_sb3.provenance import version
from rl2_sb3.tables import merge_table, own_table

SUCCESSES = (
    *("agent", "episode", "success", "length", "standard_error"),
    *("no_longer_than_first", "trials"),
)
"""Of one evaluation: a row for each agent and episode."""
CONDITIONS = ("task", "options", "episodes", "deterministic", "seed")
"""Key of an evaluation."""
KEPT = (*CONDITIONS, *SUCCESSES, "version")


def success_rows(results: Mapping[str, Evaluation]) -> list[list[str]]:
    """Rows of the agents whose environments report successes."""
    return [
        [
            name,
            str(episode),
            f"{rate:.4g}",
            f"{length:.4g}" if rate else "",
            f"{error:.2g}" if error > 0 else "",
            f"{result.improved:.4g}" if episode == 2 else "",
            str(len(result.returns)),
        ]
        for name, result in results.items()
        if np.isfinite(result.successes).any()
        for episode, (rate, (length, error)) in enumerate(
            zip(result.success_rates, result.success_lengths, strict=True), start=1
        )
    ]


def in_words(options: Mapping[str, Any]) -> str:
    """A task's options as tables have them."""
    return " ".join(f"{key}={value}" for key, value in options.items())


def successes_table(table: Path) -> Path:
    """Where the successes lie that belong to a table of returns."""
    return table.with_name(f"{table.stem}-successes.csv")


def check_successes(table: Path) -> None:
    """See, before all the work, that :func:`keep_successes` can write.

    :raises ValueError: a table with other columns
    """
    own_table(successes_table(table), KEPT)


def keep_successes(
    table: Path,
    rows: Sequence[Sequence[str]],
    conditions: Sequence[Any],
    played_by: str | None = None,
) -> None:
    """Write rows beside a table of returns, in place of those of the same trials.

    :param table: that of the returns
    :param rows: see :data:`SUCCESSES`
    :param conditions: see :data:`CONDITIONS`
    :param played_by: version of the code that played, by default the one that is there
    """
    whole = [
        dict(zip(KEPT, (*conditions, *row, played_by or version()), strict=True)) for row in rows
    ]
    key = (*CONDITIONS, "agent", "trials", "episode")
    merge_table(successes_table(table), whole, key)
