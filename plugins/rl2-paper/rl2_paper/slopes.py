"""How fast agents still rose at the end of training: ``python -m rl2_paper.slopes --help``."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro
from numpy.typing import NDArray

from rl2_paper.options import home
from rl2_sb3.plots.history import COLUMNS
from rl2_sb3.registry import did_you_mean
from rl2_sb3.tables import read_table


@dataclass(kw_only=True)
class Slopes:
    """Print how much learning curves rose in the second half of each run, as CSV.

    A line of least squares goes through the second half of a curve: its slope is in return per
    million steps. The standard error takes into account that a curve is a running mean; it is empty
    where the curve has too few points to tell.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names of runs, as the tables have them; by default all."""
    curves: tuple[Path, ...] = field(
        default_factory=lambda: tuple(
            home() / "results" / f"{name}.csv"
            for name in ("learning_curves", "late_training_curves", "unfinished_runs")
        )
    )
    """Tables of curves, as `rl2 plot RUN --save TABLE.csv` writes them."""


class Slope(NamedTuple):
    """Of a line through the second half of a learning curve."""

    per_million: float
    """Return, per million steps."""
    standard_error: float
    """NaN where the curve is too short to tell."""


def main(args: Sequence[str] | None = None) -> None:
    """Read and print."""
    config = tyro.cli(Slopes, args=args, prog="python -m rl2_paper.slopes")
    try:
        print_slopes(config)
    except ValueError as error:
        raise SystemExit(str(error)) from None


def print_slopes(config: Slopes) -> None:
    """Read and print.

    :raises ValueError: a table that cannot be read, or a run that is in none
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for path in config.curves:
        for row in read_table(path, COLUMNS, "Write it with `rl2 plot RUN --save`."):
            found.setdefault(row["run"], []).append((float(row["steps"]), float(row["return"])))
    for name in config.runs:
        if name not in found:
            hint = did_you_mean(name, list(found))
            raise ValueError(f"No curve of {name!r} in {', '.join(map(str, config.curves))}.{hint}")
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["run", "million_steps", "slope", "standard_error"])
    for name in config.runs or found:
        steps, returns = np.array(found[name]).T
        late = steps >= (steps[0] + steps[-1]) / 2
        slope = fitted(steps[late], returns[late], smoothed(len(steps)))
        million = (steps[-1] - steps[late][0]) / 1e6
        told = [f"{number:.2g}" if np.isfinite(number) else "" for number in slope]
        rows.writerow([name, f"{million:.1f}", *told])


def smoothed(points: int) -> int:
    """How many points each of a curve is the mean over, as `rl2 plot RUN --save` writes it."""
    return 2 * max(points // 40, 1) + 1


def fitted(steps: NDArray[np.float64], returns: NDArray[np.float64], window: int) -> Slope:
    """The line of least squares.

    :param window: points that each is the mean over: so many fewer are independent of each other
    """
    if len(steps) < 2:
        return Slope(np.nan, np.nan)
    x, y = (steps - steps.mean()) / 1e6, returns - returns.mean()
    slope = float((x * y).sum() / (x * x).sum())
    free = len(steps) / window - 2
    error = np.sqrt(((y - slope * x) ** 2).mean() / (x * x).mean() / free) if free > 0 else np.nan
    return Slope(slope, float(error))


if __name__ == "__main__":
    main()
