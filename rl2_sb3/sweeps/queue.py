"""Which point of a sweep is next, and the storage that keeps those that were run.

Where Optuna's database is asked for each run, a run takes a dozen transactions, in which thousands
of short ones spend their time. A file is of one session at a time: its runs are begun in memory,
and each is added to the file once, when it is done.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Any, NamedTuple

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial as FinishedRun
from optuna.trial import Trial as Run
from optuna.trial import TrialState as RunState
from optuna.trial import create_trial
from sqlalchemy import event

from rl2_sb3.sweeps.file import Sweep
from rl2_sb3.sweeps.objective import Score

SIZES = ("trials", "episodes", "horizon", "arms", "samples")
"""The time that a point takes grows with these."""
ASKED = "asked"
"""Of a run in a file: its number in the order in which points were asked for."""
_Key = frozenset[tuple[str, Any]]


def open_study(sweep: Sweep, storage: str) -> Study:
    """The study of a sweep, with the runs of sessions before."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=_database(storage),
        study_name=sweep.study_name,
        direction="maximize" if sweep.maximise else "minimize",
        load_if_exists=True,
    )
    if storage.startswith("sqlite"):  # elsewhere another machine may be at them
        for stale in study.get_trials(deepcopy=False, states=(RunState.RUNNING,)):
            study.tell(stale.number, state=RunState.FAIL)  # an interrupted session left it
    return study


def _database(storage: str) -> str | optuna.storages.RDBStorage:
    """A file with a write-ahead log, where it can have one: a disk is not waited for every time."""
    if not storage.startswith("sqlite"):
        return storage
    database = optuna.storages.RDBStorage(storage)

    def log_ahead(connection: sqlite3.Connection, _: Any) -> None:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        except sqlite3.OperationalError:  # some file systems cannot: it is slower, and as safe
            pass

    event.listen(database.engine, "connect", log_ahead)
    database.engine.dispose()  # connections that were made without it
    return database


class Asked(NamedTuple):
    """A point that is begun."""

    params: dict[str, Any]
    number: int
    """In the order in which a session asks."""
    run: Run | None
    """Optuna's, but of a grid in a file, for which it has no say."""


class Queue:
    """Gives the points of a sweep that are left, and keeps what came of them.

    :param stored: the study in its storage
    :param shared: whether other machines are at it, too
    """

    def __init__(self, sweep: Sweep, stored: Study, shared: bool):
        self.sweep, self.stored, self.shared = sweep, stored, shared
        before = stored.get_trials(deepcopy=False)
        self.done = sum(run.state == RunState.COMPLETE for run in before)
        self.study = stored
        if not shared:
            self.study = optuna.create_study(direction=stored.direction)
            if sweep.method == "bayes":
                self.study.add_trials(before)
        numbers = (run.user_attrs.get(ASKED, run.number) for run in before)
        self._next = max(numbers, default=-1) + 1
        self._left: list[dict[str, Any]] = []
        if sweep.method == "grid":
            taken = {point_key(run.params) for run in before if run.state == RunState.COMPLETE}
            points = (point for point in sweep.grid() if point_key(point) not in taken)
            # The longest go first, lest one be left at the end.
            self._left = sorted(points, key=lambda point: -work({**sweep.fixed, **point}))

    def ask(self, ours: int, total: int) -> Asked | None:
        """Begin a point, or none if all are done or begun.

        :param ours: how many are begun here and not done
        :param total: how many there are to be, where they are no grid
        """
        if self.sweep.method == "grid":
            point = self._next_of_grid()
            if point is None:
                return None
            if not self.shared:
                return self._begin(point, None)
            self.study.enqueue_trial(point)
        elif (len(done_runs(self.stored)) if self.shared else self.done) + ours >= total:
            return None
        # GridSampler is not used: it takes failed runs for visited points.
        bayes = self.sweep.method == "bayes"
        sampler = optuna.samplers.TPESampler if bayes else optuna.samplers.RandomSampler
        seed = len(self.study.get_trials(deepcopy=False)) if self.shared else self._next
        self.study.sampler = sampler(seed=seed)
        run = self.study.ask(self.sweep.varied)
        return self._begin(run.params, run)

    def _begin(self, params: dict[str, Any], run: Run | None) -> Asked:
        self._next += 1
        return Asked(params, self._next - 1, run)

    def _next_of_grid(self) -> dict[str, Any] | None:
        """A point that is neither done nor begun here; one that is begun elsewhere is the last."""
        at = 0
        if self.shared:
            states = (RunState.COMPLETE, RunState.RUNNING)
            runs = self.stored.get_trials(deepcopy=False, states=states)
            known = {point_key(run.params): run.state for run in runs}
            done = {key for key, state in known.items() if state == RunState.COMPLETE}
            self._left = [point for point in self._left if point_key(point) not in done]
            free = (i for i, point in enumerate(self._left) if point_key(point) not in known)
            at = next(free, 0)
        return self._left.pop(at) if self._left else None

    def tell(self, asked: Asked, result: Score) -> None:
        """Keep what came of a point."""
        self.done += 1
        told: dict[str, Any] = {"standard_error": result.standard_error}
        if asked.run is not None:
            asked.run.set_user_attr("standard_error", result.standard_error)
            self.study.tell(asked.run, result.mean)
            told[ASKED] = asked.number
        if not self.shared:
            self.stored.add_trial(
                create_trial(
                    params=asked.params,
                    distributions=self.sweep.varied,
                    value=result.mean,
                    user_attrs=told,
                )
            )


def done_runs(study: Study) -> list[FinishedRun]:
    """The runs that are done."""
    return study.get_trials(deepcopy=False, states=(RunState.COMPLETE,))


def work(point: dict[str, Any]) -> int:
    """How much there is to do for a point."""
    return math.prod(point.get(name, 1) for name in SIZES)


def point_key(params: dict[str, Any]) -> _Key:
    """A point, to be compared."""
    return frozenset(params.items())
