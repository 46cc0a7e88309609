"""A baseline's points in a file: begun in memory, and each written once, when it is done.

Where Optuna's database is told of each step, a point takes a dozen transactions, in which
thousands of short ones would spend their time. The file is ours alone, and a point that is lost
takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import optuna
from optuna.trial import Trial as Running
from optuna.trial import TrialState as State
from optuna.trial import create_trial

from rl2_sb3.sweeps.baselines import Score, score
from rl2_sb3.sweeps.claims import DONE, ERROR, NUMBER, Claims, latest, lost
from rl2_sb3.sweeps.workers import Workers


class Asked(NamedTuple):
    """A point that is begun."""

    number: int
    """Of its configuration."""
    params: dict[str, Any]
    """As Optuna keeps them."""
    running: Running | None
    """In memory; of a grid none, for which Optuna has no say."""


def play_points(
    study: Claims, workers: Workers, over: Callable[[], Any], failed: Callable[[str], Any]
) -> None:
    """Play what is left of a sweep.

    :param over: called after each point
    :param failed: told of each that failed
    """
    sweep = study.sweep
    memory = optuna.create_study(direction=study.direction)
    attempts = study.get_trials(deepcopy=False)
    if sweep.method == "bayes":
        memory.add_trials([each for each in attempts if each.state in DONE])
    last = latest(attempts)
    left = [n for n in range(study.total) if n not in last or lost(last[n])]
    left += [n for n, each in last.items() if each.state == State.WAITING]
    asked: dict[Future[Score], Asked] = {}
    while left or asked:
        while left and len(asked) < 2 * workers.count:
            new = _ask(study, memory, left.pop(0))
            point = {**sweep.command.given(), **sweep.fixed, **study.point(new.params)}
            asked[workers.submit(score, sweep.command.target, point)] = new
        done = wait(asked, return_when=FIRST_COMPLETED).done
        for future in sorted(done, key=lambda future: asked[future].number):
            told = asked.pop(future)
            error = _tell(study, memory, told, future)
            if error:
                failed(f"{study.point(told.params)} failed: {error}")
            over()


def _ask(study: Claims, memory: optuna.Study, number: int) -> Asked:
    if study.sweep.method == "grid":
        return Asked(number, study.grid_params(number), None)
    memory.sampler = study.sampler_of(number)
    running = memory.ask({name: study.distribution(name) for name in study.sweep.varied})
    return Asked(number, running.params, running)


def _tell(study: Claims, memory: optuna.Study, asked: Asked, future: Future[Score]) -> str | None:
    """Keep what came of a point; the error, if it was one."""
    raised = future.exception()
    if isinstance(raised, BrokenProcessPool) or not isinstance(raised, Exception | None):
        raise raised  # a worker died, or we are stopped: no fault of the point's
    attributes: dict[str, Any] = {NUMBER: asked.number}
    value = None
    if raised is None:
        value, attributes["standard_error"] = future.result()
    else:
        attributes[ERROR] = f"{type(raised).__name__}: {raised}"
    state = State.FAIL if value is None else State.COMPLETE
    if asked.running is not None:
        memory.tell(asked.running, value, state=None if value is not None else state)
    study.add_trial(
        create_trial(
            state=state,
            params=asked.params,
            distributions={name: study.distribution(name) for name in asked.params},
            value=value,
            user_attrs=attributes,
        )
    )
    return attributes.get(ERROR)
