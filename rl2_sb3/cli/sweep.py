"""``rl2 sweep`` runs sweep files; ``rl2 baseline`` plays one point of one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import tyro
from rich.table import Table
from tqdm import tqdm

from rl2_sb3.cli.screen import show
from rl2_sb3.config import Count, TrackConfig, Tracking
from rl2_sb3.ranges import check_config
from rl2_sb3.registry import BASELINES, named_values
from rl2_sb3.sweeps import (
    Sweep,
    best_points,
    check_point,
    load_sweep,
    processes,
    run_sweep,
    score,
    work,
    write_points,
)
from rl2_sb3.tables import write_table
from rl2_sb3.tracking.tracker import begin

NUMBERS = ("mean", "standard_error", "trials")
"""Columns of the best points, beside those of the parameters."""

BASELINE_HELP = """usage: rl2 baseline NAME [--task bandit] [--episodes N] [--trials N]
                         [--split test] [--<option of the task> VALUE]
                         [--<parameter of the baseline> VALUE]
                         [--track wandb]

Evaluate a baseline: print the mean return of a trial and its standard error.

  rl2 baseline ucb1 --arms 10 --episodes 100 --c 0.2"""


@dataclass(kw_only=True)
class Sweeps:
    """Run sweeps: YAML files in the format of W&B's sweeps, on Optuna.

    An interrupted sweep resumes where it stopped. Writes OUT/NAME.csv with a row for each point,
    and OUT/NAME-best.csv with the best point of each setting, evaluated on the test split.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Sweep files, such as sweeps/ucb1.yaml or sweeps/*.yaml."""
    workers: Count = os.cpu_count() or 1
    """Number of processes."""
    points: Count | None = None
    """Number of points for the methods random and bayes; by default 100."""
    test_trials: Count = 1000
    """Number of trials of the test split for each of the best points."""
    storage: str | None = None
    """Optuna's storage, such as postgresql://...; by default the file OUT/sweeps.db."""
    out: Path = Path("results/sweeps")
    """Folder for the tables."""


def sweep(args: Sequence[str]) -> None:
    """Parse the options and run."""
    config = tyro.cli(Sweeps, args=list(args), prog="rl2 sweep")
    check_config(config)
    plans = [load_sweep(file) for file in config.files]  # all are checked before any runs
    if not plans:
        raise ValueError("Name a sweep's file, such as sweeps/ucb1.yaml.")
    _check_tables(plans, config.files)
    config.out.mkdir(parents=True, exist_ok=True)
    with processes(config.workers) as pool:
        for plan in plans:
            _run(plan, config, pool)


def _check_tables(plans: Sequence[Sweep], files: Sequence[Path]) -> None:
    """Refuse sweeps of which one would write over the tables of another."""
    written: dict[str, Path] = {}
    for plan, file in zip(plans, files, strict=True):
        for table in (f"{plan.name}.csv", f"{plan.name}-best.csv"):
            if table in written:
                raise ValueError(f"{written[table]} and {file} both write {table}: rename one.")
            written[table] = file


def _run(plan: Sweep, config: Sweeps, pool: Executor) -> None:
    """Run one sweep; write its tables and print that of the best points."""
    storage = config.storage or f"sqlite:///{config.out / 'sweeps.db'}"
    study = run_sweep(plan, storage, config.workers, config.points, pool=pool)
    points = config.out / f"{plan.name}.csv"
    write_points(plan, study, points)
    names = list(plan.varied)
    table = Table(*names, "mean", "± s.e.", title=f"{plan.name}: best points, on the test split")
    best = best_points(plan, study)
    tested = [{**point, "split": "test", "trials": config.test_trials} for point in best]
    rows = []
    order = sorted(range(len(tested)), key=lambda i: -work(tested[i]))
    asked = {i: pool.submit(score, plan.baseline, tested[i]) for i in order}
    shown = tqdm(range(len(best)), f"{plan.name}, test split", leave=False)
    for i in shown:
        point, result = best[i], asked[i].result()
        row = {name: str(point[name]) for name in names}
        table.add_row(*row.values(), f"{result.mean:.3f}", f"{result.standard_error:.3f}")
        numbers = f"{result.mean:.6g}", f"{result.standard_error:.3g}", config.test_trials
        rows.append({"agent": plan.baseline, **row, **dict(zip(NUMBERS, numbers, strict=True))})
    path = config.out / f"{plan.name}-best.csv"
    write_table(path, ("agent", *names, *NUMBERS), rows)
    show(table)
    print(f"All points: {points}, the best: {path}")


def baseline(args: Sequence[str]) -> None:
    """Parse ``NAME --key=value ...`` and play."""
    if {"-h", "--help"} & set(args):
        print(f"{BASELINE_HELP}\n\nBaselines: {', '.join(BASELINES.names())}.")
        return
    if not args or args[0].startswith("-"):
        sys.exit(BASELINE_HELP)
    name, *rest = args
    point = _point(rest)
    track = TrackConfig(track=point.pop("track", TrackConfig.track))
    if track.track not in get_args(Tracking):
        raise ValueError(f"track={track.track}: use one of {', '.join(get_args(Tracking))}.")
    check_point(name, point)
    with begin(track, "baseline", {"baseline": name, **point}) as tracker:
        result = score(name, point)
        print(f"mean {result.mean:.6g} standard_error {result.standard_error:.3g}")
        tracker.log(result._asdict())


def _point(words: Sequence[str]) -> dict[str, Any]:
    """Options that come as ``--key value`` or ``--key=value``, by name.

    :raises ValueError: words of another form
    """
    pairs: list[str] = []
    for word in words:
        if pairs and "=" not in pairs[-1]:
            pairs[-1] += f"={word}"
        else:
            pairs.append(word)
    if not all(pair.startswith("--") and "=" in pair for pair in pairs):
        raise ValueError(f"Options come as --key value.\n\n{BASELINE_HELP}")
    values = named_values([pair[2:] for pair in pairs])
    return {key.replace("-", "_"): value for key, value in values.items()}
