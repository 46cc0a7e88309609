"""``rl2 sweep`` runs sweep files; ``rl2 baseline`` plays one point of one."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args

import tyro
from rich.table import Table
from tqdm import tqdm

from rl2_sb3.cli.screen import show
from rl2_sb3.cli.sweep_best import check_words, write_best
from rl2_sb3.config import Count, TrackConfig, Tracking
from rl2_sb3.ranges import check_config
from rl2_sb3.registry import BASELINES, named_values
from rl2_sb3.sweeps import (
    Claims,
    Job,
    Sweep,
    Workers,
    best_points,
    check_point,
    failures,
    load_sweep,
    run_sweep,
    score,
    write_points,
)
from rl2_sb3.sweeps.baselines import work
from rl2_sb3.sweeps.claims import failure
from rl2_sb3.sweeps.pictures import draw
from rl2_sb3.sweeps.storage import HEARTBEAT
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

    A file's command is `rl2 train`, `rl2 imitate` or `rl2 baseline`. An interrupted sweep resumes
    where it stopped. Writes OUT/NAME.csv with a row for each configuration, Optuna's plots, and the
    best configuration of each setting: OUT/NAME-best.yaml, for `rl2 train --config`, or, of
    baselines, OUT/NAME-best.csv, evaluated on the test split. Runs have their folders in OUT/runs.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...")]
    """Sweep files, such as sweeps/ucb1.yaml or sweeps/*.yaml."""
    workers: Count = os.cpu_count() or 1
    """Number of processes, each with one configuration at a time."""
    points: Count | None = None
    """Number of configurations for the methods random and bayes; by default the file's run_cap, or
    100."""
    test_trials: Count = 1000
    """Number of trials of the test split for each of the best points of baselines."""
    storage: str | None = None
    """Database of the sweep, by default the file OUT/sweeps.db. Any number of machines share
    postgresql://USER@HOST/DATABASE: the same command on each joins."""
    heartbeat: Count = HEARTBEAT
    """Seconds between two signs of life; a configuration whose worker gives none for three times as
    long is run again."""
    retry_failed: bool = False
    """Run configurations again that have failed."""
    out: Path = Path("results/sweeps")
    """Folder for the tables, the plots and the runs."""


def sweep(args: Sequence[str]) -> None:
    """Parse the options and run."""
    config = tyro.cli(Sweeps, args=list(args), prog="rl2 sweep")
    check_config(config)
    plans = [load_sweep(file) for file in config.files]  # all are checked before any runs
    if not plans:
        raise ValueError("Name a sweep's file, such as sweeps/ucb1.yaml.")
    _check_tables(plans, config.files)
    for plan, file in zip(plans, config.files, strict=True):
        if not plan.of_baseline:
            check_words(plan, file)
    config.out.mkdir(parents=True, exist_ok=True)
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _stop)
    with Workers(config.workers) as workers:
        failed = [line for plan in plans for line in _run(plan, config, workers)]
    if failed:
        raise RuntimeError("\n".join(failed))


def _stop(number: int, _: Any) -> NoReturn:
    """End as Ctrl-C does: runs save themselves."""
    error = KeyboardInterrupt()
    error.number = number  # type: ignore[attr-defined]
    raise error


def _check_tables(plans: Sequence[Sweep], files: Sequence[Path]) -> None:
    """Refuse sweeps of which one would write over the tables of another."""
    written: dict[str, Path] = {}
    for plan, file in zip(plans, files, strict=True):
        for table in (f"{plan.name}.csv", f"{plan.name}-best.csv"):
            if table in written:
                raise ValueError(f"{written[table]} and {file} both write {table}: rename one.")
            written[table] = file


def _run(plan: Sweep, config: Sweeps, workers: Workers) -> list[str]:
    """Run one sweep; write its tables and print that of the best points.

    :return: what to say of configurations that failed
    """
    storage = config.storage or f"sqlite:///{config.out / 'sweeps.db'}"
    job = Job(plan, storage, config.out, config.points, config.heartbeat)
    study = run_sweep(job, workers, config.retry_failed)
    points = config.out / f"{plan.name}.csv"
    with study.database.told():
        write_points(study, points)
        best = _best_baselines if plan.of_baseline else _best_runs
        path = best(study, config, workers)
        alike = len(best_points(study)) == 1  # values of other settings are no better or worse
        pictures = draw(study, config.out) if alike else []
        failed = failures(study)
    print(f"All points: {points}, the best: {path}")
    if pictures:
        print(f"Plots: {', '.join(map(str, pictures))}")
    address = shlex.quote(str(study.database))
    print(f"In a browser: pip install optuna-dashboard; optuna-dashboard {address}")
    if not failed:
        return []
    return [
        f"{plan.name}: {len(failed)} of {study.total} configurations failed, the first with: "
        f"{failure(failed[0].attempt)}. {points} has the others; --retry-failed runs "
        "them again."
    ]


def _best_baselines(study: Claims, config: Sweeps, workers: Workers) -> Path:
    """Evaluate the best points on the test split, write and print their table."""
    plan = study.sweep
    names = list(plan.varied)
    table = Table(*names, "mean", "± s.e.", title=f"{plan.name}: best points, on the test split")
    best = [each.point for each in best_points(study)]
    tested = [{**point, "split": "test", "trials": config.test_trials} for point in best]
    rows = []
    order = sorted(range(len(tested)), key=lambda i: -work(tested[i]))
    asked = {i: workers.submit(score, plan.command.target, tested[i]) for i in order}
    shown = tqdm(range(len(best)), f"{plan.name}, test split", leave=False)
    for i in shown:
        point, result = best[i], asked[i].result()
        row = {name: str(point[name]) for name in names}
        table.add_row(*row.values(), f"{result.mean:.3f}", f"{result.standard_error:.3f}")
        numbers = f"{result.mean:.6g}", f"{result.standard_error:.3g}", config.test_trials
        row = {"agent": plan.command.target, **row}
        rows.append({**row, **dict(zip(NUMBERS, numbers, strict=True))})
    path = config.out / f"{plan.name}-best.csv"
    write_table(path, ("agent", *names, *NUMBERS), rows)
    show(table)
    return path


def _best_runs(study: Claims, config: Sweeps, _: Workers) -> str:
    """Write the best configurations of training, and print their table."""
    plan, best = study.sweep, best_points(study)
    names = [name for name in plan.varied if any(name in each.point for each in best)]
    table = Table(*names, plan.metric, title=f"{plan.name}: best configurations")
    for each in best:
        table.add_row(*(str(each.point.get(name, "")) for name in names), f"{each.value:.6g}")
    show(table)
    return ", ".join(map(str, write_best(study, best, config.out))) or "none"


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
