"""One baseline at one point: what a sweep maximises, and what ``rl2 baseline`` prints."""

from __future__ import annotations

import dataclasses
import inspect
import math
import typing
from functools import cache
from typing import Any, NamedTuple

from rl2_sb3.evaluation import evaluate_trials
from rl2_sb3.registry import BASELINES, TASKS, did_you_mean
from rl2_sb3.trials.make import make_tasks

SPLITS = {"test": 0, "validation": 0x7A11D}
"""Seeds of the two lists of tasks: parameters are tuned on one and reported on the other.

The second is a number that nobody types as ``rl2 evaluate --seed``."""
COMMON: dict[str, type] = {"task": str, "episodes": int, "trials": int, "split": str}
SIZES = ("trials", "episodes", "horizon", "arms", "samples")
"""The time that a point takes grows with these."""
GIVEN = ("prior",)
"""Parameters of baselines that are no matter of tuning: each value is a setting of its own."""

# Whoever plays many points asks for the same ones, and each time all distributions would be read.
_task = cache(TASKS.load)
_baseline = cache(BASELINES.load)


class Score(NamedTuple):
    """Mean return of a trial, and its standard error."""

    mean: float
    standard_error: float


def score(baseline: str, point: dict[str, Any]) -> Score:
    """Evaluate a baseline at a point.

    :param point: ``task``, ``episodes``, ``trials``, ``split``, the task's options and the
        baseline's parameters, by name
    :raises RuntimeError: a reward that is not finite
    """
    tasks, parameters = _sort(baseline, point)
    agent = _baseline(baseline).for_tasks(tasks, point.get("episodes", 10), **parameters)
    result = evaluate_trials(
        agent,
        tasks,
        point.get("trials", 1000),
        seed=SPLITS[point.get("split", "test")],
        episodes=point.get("episodes", 10),
    )
    return Score(result.mean, result.standard_error)


def check_parameter(baseline: str, task: str, name: str, value: Any) -> None:
    """Check a parameter's name and its value's type.

    :raises ValueError: an unknown name, or a value of a wrong type
    """
    known = {**COMMON, **_types(_task(task)), **_types(_baseline(baseline))}
    if name not in known:
        raise ValueError(f"{baseline} has no parameter {name!r}.{did_you_mean(name, list(known))}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}={value}: use a finite number.")
    if not _fits(value, known[name]):
        raise ValueError(f"{name}={value!r} is of a wrong type: it is {known[name]}.")


def check_point(baseline: str, point: dict[str, Any]) -> None:
    """Check a point without playing it.

    :raises ValueError: an unknown name, a value of a wrong type, or one that the agent refuses
    """
    for name, value in point.items():
        check_parameter(baseline, point.get("task", "bandit"), name, value)
    if point.get("split", "test") not in SPLITS:
        raise ValueError(f"split={point['split']!r}: use one of {', '.join(SPLITS)}.")
    tasks, parameters = _sort(baseline, point)
    _baseline(baseline).for_tasks(tasks, point.get("episodes", 10), **parameters)


def setting(point: dict[str, Any]) -> dict[str, Any]:
    """What a point says of the trials, and of what the baseline is given: all but what is tuned."""
    given = {name: value for name, value in point.items() if name in GIVEN}
    return {**_of_trials(point), **given}


def work(point: dict[str, Any]) -> int:
    """How much there is to do for a point."""
    return math.prod(point.get(name, 1) for name in SIZES)


def _of_trials(point: dict[str, Any]) -> dict[str, Any]:
    of_task = inspect.signature(_task(point.get("task", "bandit"))).parameters
    return {name: value for name, value in point.items() if name in COMMON or name in of_task}


def _sort(baseline: str, point: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The task distribution of a point, and the baseline's own parameters."""
    of_trials = _of_trials(point)
    options = {name: value for name, value in of_trials.items() if name not in COMMON}
    own = {name: value for name, value in point.items() if name not in of_trials}
    return make_tasks(_task(point.get("task", "bandit"))(**options)), own


def _types(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _fits(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    options = typing.get_args(kind) or (kind,)
    if isinstance(value, bool):
        return bool in options
    return isinstance(value, options) or (float in options and isinstance(value, int))
