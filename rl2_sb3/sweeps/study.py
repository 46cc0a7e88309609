"""What is left of a sweep, run on Optuna; and the tables of its points.

A *run* is what Optuna calls a trial, one point that is played; a trial here is always RL²'s.
"""

from __future__ import annotations

import fcntl
import math
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial as FinishedRun
from optuna.trial import Trial as Run
from optuna.trial import TrialState as RunState
from tqdm import tqdm

from rl2_sb3.processes import follow_parent
from rl2_sb3.sweeps.file import Sweep
from rl2_sb3.sweeps.objective import Score, score, setting
from rl2_sb3.tables import write_table

SIZES = ("trials", "episodes", "horizon", "arms", "samples")
"""The time that a point takes grows with these."""


def run_sweep(
    sweep: Sweep,
    storage: str,
    workers: int = 1,
    points: int | None = None,
    progress: bool = True,
    pool: Executor | None = None,
) -> Study:
    """Run what is left of a sweep.

    :param storage: Optuna's, for example ``sqlite:///results/sweeps.db``, a file of one session
        at a time; several machines may share another
    :param workers: processes
    :param points: how many, for ``random`` and ``bayes``
    :param pool: processes to use instead of new ones, as many as ``workers``
    """
    with alone(storage):
        return _run(sweep, storage, workers, points, progress, pool)


def _run(
    sweep: Sweep,
    storage: str,
    workers: int,
    points: int | None,
    progress: bool,
    pool: Executor | None,
) -> Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=storage,
        study_name=sweep.study_name,
        direction="maximize" if sweep.maximise else "minimize",
        load_if_exists=True,
    )
    if storage.startswith("sqlite"):  # elsewhere another machine may be at them
        for stale in study.get_trials(deepcopy=False, states=(RunState.RUNNING,)):
            study.tell(stale.number, state=RunState.FAIL)  # an interrupted session left it
    total = len(sweep.grid()) if sweep.method == "grid" else points or 100
    bar = tqdm(total=total, initial=len(_done(study)), desc=sweep.name, disable=not progress)
    asked: dict[Future[Score], Run] = {}
    with nullcontext(pool) if pool else processes(workers) as pool, bar:
        while True:
            while len(asked) < 2 * workers and (run := _ask(sweep, study, asked.values(), total)):
                point = {**sweep.fixed, **run.params}
                asked[pool.submit(score, sweep.baseline, point)] = run
            if not asked:
                return study
            for future in wait(asked, return_when=FIRST_COMPLETED).done:
                run, result = asked.pop(future), future.result()
                run.set_user_attr("standard_error", result.standard_error)
                study.tell(run, result.mean)
                bar.update()


@contextmanager
def alone(storage: str) -> Iterator[None]:
    """Keep other sessions off a storage that is a file: they would take our runs for stale.

    :raises ValueError: another session is at it
    """
    if not storage.startswith("sqlite:///"):
        yield
        return
    with open(f"{storage.removeprefix('sqlite:///')}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"Another session is running a sweep in {storage}: wait for it, or take another "
                "--out. Sessions share a --storage such as postgresql://..."
            ) from None
        yield


class InProcess(Executor):
    """One worker that needs no process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it now."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def processes(workers: int) -> Executor:
    """What plays points: so many processes, or this one; a context manager."""
    if workers == 1:
        return InProcess()
    context = get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=follow_parent)


def _ask(sweep: Sweep, study: Study, ours: Collection[Run], total: int) -> Run | None:
    """Begin a run, or none if all are done or ``ours``, begun here."""
    if sweep.method == "grid":
        taken = {_key(run.params) for run in (*_done(study), *ours)}
        missing = [point for point in sweep.grid() if _key(point) not in taken]
        if not missing:
            return None
        running = study.get_trials(deepcopy=False, states=(RunState.RUNNING,))
        elsewhere = {_key(run.params) for run in running}

        def place(point: dict[str, Any]) -> tuple[bool, int]:
            return _key(point) in elsewhere, -work({**sweep.fixed, **point})

        study.enqueue_trial(min(missing, key=place))
    elif len(_done(study)) + len(ours) >= total:
        return None
    # GridSampler is not used: it takes failed runs for visited points.
    sampler = (
        optuna.samplers.TPESampler if sweep.method == "bayes" else optuna.samplers.RandomSampler
    )
    study.sampler = sampler(seed=len(study.get_trials(deepcopy=False)))
    return study.ask(sweep.varied)


def work(point: dict[str, Any]) -> int:
    """How much there is to do for a point: the longest go first, lest one be left at the end."""
    return math.prod(point.get(name, 1) for name in SIZES)


def _key(params: dict[str, Any]) -> frozenset[tuple[str, Any]]:
    return frozenset(params.items())


def _done(study: Study) -> list[FinishedRun]:
    return study.get_trials(deepcopy=False, states=(RunState.COMPLETE,))


def _results(sweep: Sweep, study: Study) -> list[tuple[dict[str, Any], FinishedRun]]:
    """The points that were run, by their values, in whatever order they were run.

    Each is there once: two workers may have played the same, alike.
    """
    runs = {_key(run.params): run for run in _done(study)}
    results = [({**sweep.fixed, **run.params}, run) for run in runs.values()]
    return sorted(results, key=lambda result: _order(result[0]))


def write_points(sweep: Sweep, study: Study, path: Path) -> None:
    """Write a CSV with a row for each point that was run."""
    rows = [
        {"agent": sweep.baseline, **point, "mean": f"{run.value:.6g}"}
        | {"standard_error": f"{run.user_attrs['standard_error']:.3g}"}
        for point, run in _results(sweep, study)
    ]
    columns = ("agent", *sweep.fixed, *sweep.varied, "mean", "standard_error")
    write_table(path, columns, rows)


def best_points(sweep: Sweep, study: Study) -> list[dict[str, Any]]:
    """The best point of each setting: the same task, as many episodes, the same prior.

    Of equal ones it is the first by its values.
    """
    best: dict[frozenset[tuple[str, Any]], tuple[float, dict[str, Any]]] = {}
    for point, run in _results(sweep, study):
        key = _key(setting(point))
        value = run.value if sweep.maximise else -(run.value or 0.0)
        assert value is not None
        if key not in best or value > best[key][0]:
            best[key] = value, point
    return sorted((point for _, point in best.values()), key=_order)


def _order(point: dict[str, Any]) -> list[tuple[bool, Any]]:
    """To sort points by their values: numbers by size and before the rest, which sorts as text."""
    values = point.values()
    return [(False, v) if isinstance(v, (int, float)) else (True, str(v)) for v in values]
