"""A study that gives each configuration once, to however many workers on however many machines.

A *configuration* has a number, and a value for each parameter; what Optuna calls a trial is one
attempt at it. An attempt whose worker died, or was stopped, is made again; one that failed by
itself is not. Optuna's own samplers choose, its queue and its heartbeats keep the attempts.
"""

from __future__ import annotations

import contextlib
import platform
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial as Attempt
from optuna.trial import Trial as Running
from optuna.trial import TrialState as State
from optuna.trial import create_trial

from rl2_sb3.sweeps.baselines import work
from rl2_sb3.sweeps.file import Sweep
from rl2_sb3.sweeps.parameters import label
from rl2_sb3.sweeps.storage import Storage, quiet

NUMBER, HOST, ERROR, STOPPED = "configuration", "host", "error", "stopped"
"""Attributes of an attempt: its configuration's number, who makes it, why it failed, and whether it
was stopped in good order."""
CONTENT = "content"
"""Attribute of a study: what its sweep is."""
ATTEMPTS = 10
"""The most at one configuration whose workers die: it may be what kills them."""
DEFAULT_POINTS = 100
"""Configurations of a search, where nobody says how many."""
DONE = (State.COMPLETE, State.PRUNED)


class NothingLeft(Exception):  # noqa: N818 (no error: it ends a loop)
    """All configurations are done or begun."""


class Claims(Study):
    """The study of a sweep.

    :param points: how many configurations, for ``random`` and ``bayes``
    """

    def __init__(self, sweep: Sweep, storage: Storage, points: int | None = None):
        self.sweep, self.database = sweep, storage
        grid = sweep.grid() if sweep.method == "grid" else []
        if sweep.of_baseline:  # the longest go first, lest one be left at the end
            grid.sort(key=lambda point: -work({**sweep.fixed, **point}))
        self._grid = grid
        self._distributions: dict[str, BaseDistribution] = {}
        self.total = len(grid) if sweep.method == "grid" else points or DEFAULT_POINTS
        if sweep.run_cap is not None:
            given = grid or points
            self.total = min(self.total, sweep.run_cap) if given else sweep.run_cap
        super().__init__(sweep.name, storage.optuna, self.sampler_of(0), self._pruner())

    def ask(self, fixed_distributions: dict[str, BaseDistribution] | None = None) -> Running:
        """Begin an attempt at the next configuration.

        :raises NothingLeft: there is none
        """
        with self.database.locked(self.study_name):
            number = self._queue_next()
            self.sampler = self.sampler_of(number)
            running = super().ask({name: self.distribution(name) for name in self.sweep.varied})
            self.database.optuna.record_heartbeat(running._trial_id)
            running.set_user_attr(HOST, platform.node())
            if running.user_attrs.get(STOPPED):  # of the attempt before
                running.set_user_attr(STOPPED, False)
            return running

    def _queue_next(self) -> int:
        """See that an attempt waits in Optuna's queue; its configuration's number."""
        attempts = self.get_trials(deepcopy=False)
        for each in attempts:
            if each.state == State.WAITING:
                return number_of(each)
            if each.state == State.RUNNING and HOST not in each.user_attrs:
                self.tell(each.number, state=State.FAIL)  # its worker died while it began
        last = latest(self.get_trials(deepcopy=False))
        for number, attempt in sorted(last.items()):
            if lost(attempt):
                with quiet():
                    RetryHeartbeatStaleTrialCallback()(self, attempt)
                return number
        number = max(last, default=-1) + 1
        if number >= self.total:
            raise NothingLeft
        params = self.grid_params(number) if self._grid else {}
        self.add_trial(
            create_trial(
                state=State.WAITING,
                params=params,
                distributions={name: self.distribution(name) for name in params},
                user_attrs={NUMBER: number},
            )
        )
        return number

    def grid_params(self, number: int) -> dict[str, Any]:
        """A configuration of the grid, as Optuna keeps it."""
        return {name: label(value) for name, value in self._grid[number].items()}

    def distribution(self, name: str) -> BaseDistribution:
        """What Optuna chooses a parameter from; in a grid, one of its values."""
        if name not in self._distributions:
            parameter = self.sweep.varied[name]
            self._distributions[name] = (
                CategoricalDistribution([label(value) for value in parameter.all_values()])
                if self.sweep.method == "grid"
                else parameter.chosen
            )
        return self._distributions[name]

    def point(self, params: dict[str, Any]) -> dict[str, Any]:
        """The values of what varies, of what Optuna chose."""
        varied, grid = self.sweep.varied, self.sweep.method == "grid"
        return {
            name: chosen
            if grid and varied[name].kind != "categorical"
            else varied[name].value(chosen)
            for name, chosen in params.items()
            if name in varied
        }

    def sampler_of(self, number: int) -> optuna.samplers.BaseSampler:
        """By the configuration's number: what was chosen before a kill is chosen again."""
        if self.sweep.method != "bayes":
            return optuna.samplers.RandomSampler(seed=number)
        with quiet():
            return optuna.samplers.TPESampler(seed=number, constant_liar=True)

    def _pruner(self) -> optuna.pruners.BasePruner:
        band = self.sweep.hyperband
        if band is None:
            return optuna.pruners.NopPruner()
        return optuna.pruners.HyperbandPruner(
            min_resource=band.first,
            max_resource=band.last or "auto",
            reduction_factor=band.factor,
        )


def open_study(
    sweep: Sweep, storage: Storage, points: int | None = None, retry_failed: bool = False
) -> Claims:
    """The study of a sweep, with the attempts of sessions before.

    :param retry_failed: try failed configurations again
    :raises ValueError: the storage has a study of another sweep under this name
    """
    with storage.locked(sweep.name):
        with contextlib.suppress(DuplicatedStudyError):
            optuna.create_study(
                storage=storage.optuna,
                study_name=sweep.name,
                direction="maximize" if sweep.maximise else "minimize",
            )
        study = Claims(sweep, storage, points)
        attempts = study.get_trials(deepcopy=False)
        _check_content(study, any(each.state in DONE for each in attempts))
        if not storage.shared:  # it is ours alone: whoever ran these is gone
            abandon(study)
        if retry_failed:
            _retry(study, attempts)
    return study


def _check_content(study: Claims, begun: bool) -> None:
    """See that a study is of our sweep; where nothing has come of it yet, it becomes so.

    :raises ValueError: it is of another
    """
    now = study.sweep.content()
    before = study.user_attrs.get(CONTENT, {} if begun else now)
    if begun and before != now:
        names = sorted(before.keys() | now.keys())
        differing = [
            f"{name}: {before.get(name, 'none')} there, {now.get(name, 'none')} here"
            for name in names
            if before.get(name) != now.get(name)
        ]
        raise ValueError(
            f"{study.database} has a study {study.study_name!r} of another sweep "
            f"({'; '.join(differing)}): give this one another `name`, or take another --out or "
            "--storage."
        )
    study.set_user_attr(CONTENT, now)


def number_of(attempt: Attempt | Running) -> int:
    """The number of the configuration that an attempt is at."""
    return int(attempt.user_attrs.get(NUMBER, attempt.number))


def latest(attempts: list[Attempt]) -> dict[int, Attempt]:
    """The last attempt at each configuration."""
    return {number_of(each): each for each in attempts}


def failure(attempt: Attempt) -> str:
    """Why one that is not made again failed."""
    words: str = attempt.user_attrs.get(
        ERROR, f"its worker died, at the last of {ATTEMPTS} attempts"
    )
    return words


def lost(attempt: Attempt) -> bool:
    """Whether it came to nothing through no fault of its own, and may be made again."""
    if attempt.state != State.FAIL or ERROR in attempt.user_attrs:
        return False
    before = len(attempt.system_attrs.get("retry_history", []))
    return attempt.user_attrs.get(STOPPED, False) or before < ATTEMPTS - 1


def abandon(study: Study) -> None:
    """Mark what is running as lost."""
    for stale in study.get_trials(deepcopy=False, states=(State.RUNNING,)):
        study.tell(stale.number, state=State.FAIL)


def _retry(study: Study, attempts: list[Attempt]) -> None:
    """Put new attempts at what failed into Optuna's queue."""
    for number, attempt in latest(attempts).items():
        if attempt.state == State.FAIL and not lost(attempt):
            study.add_trial(
                create_trial(
                    state=State.WAITING,
                    params=attempt.params,
                    distributions=attempt.distributions,
                    user_attrs={NUMBER: number},
                )
            )
