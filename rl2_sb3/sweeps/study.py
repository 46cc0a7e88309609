"""What is left of a sweep, run on Optuna; and the tables of its points.

A *run* is what Optuna calls a trial, one point that is played; a trial here is always RL²'s.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial as FinishedRun
from tqdm import tqdm

from rl2_sb3.processes import follow_parent
from rl2_sb3.sweeps.file import Sweep
from rl2_sb3.sweeps.objective import Score, score, setting
from rl2_sb3.sweeps.queue import Asked, Queue, done_runs, open_study, point_key
from rl2_sb3.tables import write_table

DEFAULT_POINTS = 100
"""Points of a search, where nobody says how many."""


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
    stored = open_study(sweep, storage)
    queue = Queue(sweep, stored, shared=not storage.startswith("sqlite"))
    total = sweep.points if sweep.method == "grid" else points or DEFAULT_POINTS
    bar = tqdm(total=total, initial=queue.done, desc=sweep.name, disable=not progress)
    asked: dict[Future[Score], Asked] = {}
    with nullcontext(pool) if pool else processes(workers) as pool, bar:
        while True:
            while len(asked) < 2 * workers and (new := queue.ask(len(asked), total)):
                point = {**sweep.fixed, **new.params}
                asked[pool.submit(score, sweep.baseline, point)] = new
            if not asked:
                return stored
            done = wait(asked, return_when=FIRST_COMPLETED).done
            for future in sorted(done, key=lambda future: asked[future].number):
                queue.tell(asked.pop(future), future.result())
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


def _results(sweep: Sweep, study: Study) -> list[tuple[dict[str, Any], FinishedRun]]:
    """The points that were run, by their values, in whatever order they were run.

    Each is there once: two workers may have played the same, alike.
    """
    runs = {point_key(run.params): run for run in done_runs(study)}
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
        key = point_key(setting(point))
        value = run.value if sweep.maximise else -(run.value or 0.0)
        assert value is not None
        if key not in best or value > best[key][0]:
            best[key] = value, point
    return sorted((point for _, point in best.values()), key=_order)


def _order(point: dict[str, Any]) -> list[tuple[bool, Any]]:
    """To sort points by their values: numbers by size and before the rest, which sorts as text."""
    values = point.values()
    return [(False, v) if isinstance(v, (int, float)) else (True, str(v)) for v in values]
