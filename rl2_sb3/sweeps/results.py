"""What came of a sweep: a table of all configurations, and the best of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial as Attempt
from optuna.trial import TrialState as State

from rl2_sb3.sweeps.baselines import setting
from rl2_sb3.sweeps.claims import Claims
from rl2_sb3.sweeps.options import is_of_task
from rl2_sb3.sweeps.study import finished
from rl2_sb3.tables import write_table

STATES = {State.COMPLETE: "complete", State.PRUNED: "stopped early", State.FAIL: "failed"}
AVERAGED = "seed"
"""A parameter over which a configuration's metric is averaged."""


class Result(NamedTuple):
    """A configuration, and what came of it."""

    point: dict[str, Any]
    attempt: Attempt


def results(study: Claims) -> list[Result]:
    """The configurations that are done with, by their values, whenever they were run.

    Each is there once, by its last attempt.
    """
    sweep = study.sweep
    given = sweep.command.given() if sweep.of_baseline else {}
    found: dict[str, Result] = {}
    for attempt in finished(study):
        if "same_as" not in attempt.user_attrs:
            point = {**given, **sweep.fixed, **study.point(attempt.params)}
            found[repr(sorted(point.items()))] = Result(point, attempt)
    return sorted(found.values(), key=lambda result: _order(result.point))


def failures(study: Claims) -> list[Result]:
    """Those that failed."""
    return [result for result in results(study) if result.attempt.state == State.FAIL]


def write_points(study: Claims, path: Path) -> None:
    """Write a CSV with a row for each configuration.

    Of a baseline: its mean and standard error. Of training: the metric, how the run ended, the
    entries of its log that had the metric, its seconds and its folder.
    """
    sweep, rows = study.sweep, []
    for point, attempt in results(study):
        told = attempt.user_attrs
        if sweep.of_baseline:
            if attempt.state == State.COMPLETE:
                numbers = {"mean": f"{attempt.value:.6g}"}
                numbers["standard_error"] = f"{told['standard_error']:.3g}"
                rows.append({"agent": sweep.command.target, **point, **numbers})
            continue
        value = f"{told['value']:.6g}" if "value" in told else ""
        ended = {"state": STATES[attempt.state], "entries": told.get("entries", "")}
        folder = Path(told.get("folder", "")).name
        where = {"seconds": told.get("seconds", ""), "folder": folder}
        rows.append({**point, sweep.metric: value, **ended, **where})
    given = sweep.command.given() if sweep.of_baseline else {}
    names = list({**given, **sweep.fixed, **sweep.varied})
    if sweep.of_baseline:
        columns = ["agent", *names, "mean", "standard_error"]
    else:
        columns = [*names, sweep.metric, "state", "entries", "seconds", "folder"]
    write_table(path, columns, rows)


class Best(NamedTuple):
    """The best configuration of a setting: the same task, as many episodes, the same prior.

    :param value: of the metric; the mean over seeds, where they vary
    :param seeds: over how many
    """

    point: dict[str, Any]
    value: float
    seeds: int


def best_points(study: Claims) -> list[Best]:
    """The best of each setting; of equal ones the first by its values.

    Where seeds vary, one that came through with fewer of them is no better than one with more.
    """
    sweep = study.sweep
    sums: dict[str, list[tuple[dict[str, Any], float]]] = {}
    for point, attempt in results(study):
        if attempt.state == State.COMPLETE:
            assert attempt.value is not None
            averaged = AVERAGED in sweep.varied and not sweep.of_baseline
            key = {name: v for name, v in point.items() if not averaged or name != AVERAGED}
            sums.setdefault(repr(sorted(key.items())), []).append((key, attempt.value))

    def rank(each: Best) -> tuple[int, float]:
        return each.seeds, each.value if sweep.maximise else -each.value

    best: dict[str, Best] = {}
    for runs in sums.values():
        found = Best(runs[0][0], sum(value for _, value in runs) / len(runs), len(runs))
        name = repr(sorted(_setting(study, found.point).items()))
        before = best.get(name)
        if before is None or rank(found) > rank(before):
            best[name] = found
    return sorted(best.values(), key=lambda each: _order(each.point))


def _setting(study: Claims, point: dict[str, Any]) -> dict[str, Any]:
    """What a configuration says of the trials: values of another setting are no better or worse."""
    command = study.sweep.command
    if study.sweep.of_baseline:
        return setting(point)
    return {name: value for name, value in point.items() if is_of_task(command, name)}


def _order(point: dict[str, Any]) -> list[tuple[bool, Any]]:
    """To sort points by their values: numbers by size and before the rest, which sorts as text."""
    values = point.values()
    return [(False, v) if isinstance(v, (int, float)) else (True, str(v)) for v in values]
