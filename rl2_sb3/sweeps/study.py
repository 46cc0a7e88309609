"""What is left of a sweep, run by workers that share its study."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial as Attempt
from optuna.trial import Trial as Running
from optuna.trial import TrialState as State
from tqdm import tqdm

from rl2_sb3.sweeps.baselines import score
from rl2_sb3.sweeps.claims import (
    DONE,
    ERROR,
    STOPPED,
    Claims,
    NothingLeft,
    abandon,
    lost,
    open_study,
)
from rl2_sb3.sweeps.file import Sweep
from rl2_sb3.sweeps.points import play_points
from rl2_sb3.sweeps.runs import Failed, folder_of, play, seconds_since
from rl2_sb3.sweeps.storage import HEARTBEAT, Storage, quiet
from rl2_sb3.sweeps.workers import Workers, ending

DEFAULT_OUT = Path("results/sweeps")


class Job(NamedTuple):
    """What each worker of a sweep is told.

    :param storage: address of the database
    :param out: folder of the sweep, in which the runs have theirs
    :param points: how many configurations, for ``random`` and ``bayes``
    :param heartbeat: seconds between two signs of life of a run
    :param progress: tell what comes of each run
    """

    sweep: Sweep
    storage: str
    out: Path = DEFAULT_OUT
    points: int | None = None
    heartbeat: int = HEARTBEAT
    progress: bool = True


def run_sweep(job: Job, workers: Workers | None = None, retry_failed: bool = False) -> Claims:
    """Run what is left of a sweep, together with whoever else is at it.

    :param workers: processes, by default none but this
    :param retry_failed: run failed configurations again
    :return: the study, in which each configuration is done or has failed
    :raises ValueError: another session is at the file, another sweep has this name, or a run logged
        no such metric
    :raises RuntimeError: the database cannot be used
    """
    with contextlib.ExitStack() as stack:
        storage = Storage(job.storage, job.heartbeat)
        stack.enter_context(storage.told())
        stack.enter_context(storage.alone())
        study = open_study(job.sweep, storage, job.points, retry_failed)
        workers = workers or stack.enter_context(Workers(1))
        done = len(finished(study))
        bar = stack.enter_context(
            tqdm(total=study.total, initial=done, desc=job.sweep.name, disable=not job.progress)
        )
        if job.sweep.of_baseline and not storage.shared:
            play_points(study, workers, lambda: bar.update(), say)
            return study
        if workers.count == 1:
            work(job, study, lambda: bar.update())
            return study

        def look() -> None:
            bar.update(len(finished(study)) - bar.n)

        def died() -> None:
            say(f"{job.sweep.name}: a worker has died; its configuration is run again.")
            if not storage.shared:
                abandon(study)

        workers.all(_work, job, look=look, died=died)
        return study


def finished(study: Study) -> list[Attempt]:
    """The attempts whose configurations are done with: run, stopped early, or failed."""
    attempts = study.get_trials(deepcopy=False, states=(*DONE, State.FAIL))
    return [each for each in attempts if each.state in DONE or not lost(each)]


def _work(job: Job) -> None:
    """In a worker's process: help with a sweep until nothing is left."""
    storage = Storage(job.storage, job.heartbeat)
    with storage.told():
        work(job, Claims(job.sweep, storage, job.points))


def work(job: Job, study: Claims, over: Callable[[], Any] = lambda: None) -> None:
    """Run configurations until none is left, nor one that somebody else runs and may lose.

    :param over: called after each
    """
    pause = 5.0 if study.database.shared else 0.2
    while True:
        with contextlib.suppress(NothingLeft):
            study.optimize(
                lambda running: attempt(job, study, running),
                catch=(Failed,),
                callbacks=[lambda *_: over()],
            )
        others = study.get_trials(deepcopy=False, states=(State.RUNNING, State.WAITING))
        if not others:
            return
        if ending():
            raise KeyboardInterrupt
        time.sleep(min(pause, job.heartbeat))
        with quiet():
            optuna.storages.fail_stale_trials(study)


def attempt(job: Job, study: Claims, running: Running) -> float:
    """Run a configuration; its metric.

    :raises Failed: it failed
    :raises optuna.TrialPruned: it was stopped early, or is run elsewhere under another number
    """
    sweep, varied = job.sweep, study.point(running.params)
    begin = time.monotonic()
    twin = _twin(study, running)
    if twin is not None:
        running.set_user_attr("same_as", twin.number)
        raise optuna.TrialPruned
    try:
        if ending():
            raise KeyboardInterrupt
        if sweep.of_baseline:
            return _play_baseline(sweep, varied, running)
        return _train(job, {**sweep.fixed, **varied}, running)
    except Failed as error:
        running.set_user_attr(ERROR, str(error))
        say(f"{sweep.name}: {words(varied)} failed: {error}")
        raise
    except KeyboardInterrupt:
        running.set_user_attr(STOPPED, True)
        raise
    finally:
        if not sweep.of_baseline:
            running.set_user_attr("seconds", seconds_since(begin))


def _twin(study: Claims, running: Running) -> Attempt | None:
    """An earlier attempt at the same values, done or begun: a search may choose them twice."""
    if study.sweep.method == "grid":
        return None
    states = (*DONE, State.RUNNING)
    for each in study.get_trials(deepcopy=False, states=states):
        if each.number < running.number and each.params == running.params:
            return each
    return None


def _play_baseline(sweep: Sweep, varied: dict[str, Any], running: Running) -> float:
    """The mean return of a baseline.

    :raises Failed: whatever its code, or the task's, raised
    """
    point = {**sweep.command.given(), **sweep.fixed, **varied}
    try:
        result = score(sweep.command.target, point)
    except Exception as error:
        raise Failed(f"{type(error).__name__}: {error}") from error
    running.set_user_attr("standard_error", result.standard_error)
    return result.mean


def _train(job: Job, point: dict[str, Any], running: Running) -> float:
    """The last value of a run's metric."""
    sweep = job.sweep
    told = [sweep.command.kind, *sweep.command.for_point(point)]
    folder = folder_of(job.out, told)
    running.set_user_attr("folder", str(folder))

    def report(number: int, value: float) -> bool:
        if sweep.hyperband is None:
            return False
        running.report(value, number)
        return running.should_prune()

    outcome = play(told, folder, sweep.metric, report, ending)
    running.set_user_attr("entries", len(outcome.values))
    running.set_user_attr("value", outcome.values[-1])
    if job.progress:
        early = ", stopped early" if outcome.stopped else ""
        varied = {name: point[name] for name in sweep.varied}
        say(f"{words(varied)}: {sweep.metric} {outcome.values[-1]:.6g}{early} ({folder})")
    if outcome.stopped:
        raise optuna.TrialPruned
    return outcome.values[-1]


def words(point: dict[str, Any]) -> str:
    """A configuration: "c=0.1, arms=5"."""
    return ", ".join(f"{name}={value}" for name, value in point.items()) or "the configuration"


def say(text: str) -> None:
    """Print a line beside the progress bar."""
    with contextlib.suppress(OSError):
        tqdm.write(text, file=sys.stderr)
