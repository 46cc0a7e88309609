"""Sweeps: one YAML file in W&B's format, read, checked before anything runs, and run on Optuna."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from rl2_sb3.registry import BASELINES, did_you_mean
from rl2_sb3.scoring import Score, check_parameter, check_score, score, setting

KEYS = ("program", "command", "method", "metric", "parameters", "name", "description", "project")
METHODS = ("grid", "random", "bayes")
SIZES = ("trials", "episodes", "horizon", "arms", "samples")
"""The time that a point takes grows with these."""


@dataclass(frozen=True)
class Sweep:
    """A sweep file's content.

    :param baseline: the agent whose parameters are swept
    :param method: ``grid``, ``random`` or ``bayes``
    :param fixed: parameters with one value
    :param varied: the others, each with the values or the range to choose from
    """

    name: str
    baseline: str
    method: str
    maximise: bool
    fixed: dict[str, Any]
    varied: dict[str, BaseDistribution]

    @property
    def study_name(self) -> str:
        """Other values are another study: its numbers are not these."""
        varied = {name: distribution_to_json(d) for name, d in self.varied.items()}
        content = json.dumps([self.baseline, self.fixed, varied], sort_keys=True)
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def grid(self) -> list[dict[str, Any]]:
        """All combinations of the values, where all parameters have a list of them."""
        lists = [dict.fromkeys(_values(distribution)) for distribution in self.varied.values()]
        points = itertools.product(*lists)
        return [dict(zip(self.varied, values, strict=True)) for values in points]


class _Node:
    """A piece of YAML that knows its line."""

    def __init__(self, path: Path, node: yaml.Node):
        self.path, self.node, self.line = path, node, node.start_mark.line + 1

    def error(self, message: str) -> ValueError:
        return ValueError(f"{self.path}, line {self.line}: {message}")

    def parts(self) -> dict[str, _Node]:
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error("expected a mapping, `key: value`.")
        return {str(k.value): _Node(self.path, v) for k, v in self.node.value}

    def value(self) -> Any:
        loader = yaml.SafeLoader("")
        return loader.construct_object(self.node, deep=True)


def load_sweep(path: Path) -> Sweep:
    """Read a sweep file and check it, every value of it.

    :raises ValueError: what cannot be run, with its line
    """
    try:
        tree = yaml.compose(path.read_text(), yaml.SafeLoader)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if tree is None:
        raise ValueError(f"{path} is empty.")
    root = _Node(path, tree)
    parts = root.parts()
    for key, part in parts.items():
        if key not in KEYS:
            raise part.error(f"unknown key {key!r}.{did_you_mean(key, list(KEYS))}")
    for key in ("command", "method", "metric", "parameters"):
        if key not in parts:
            raise root.error(f"the key {key!r} is missing.")
    method = parts["method"].value()
    if method not in METHODS:
        raise parts["method"].error(f"method {method!r}: use one of {', '.join(METHODS)}.")
    command = parts["command"].value()
    words = command if isinstance(command, list) else []
    if "baseline" not in words[:-1]:
        raise parts["command"].error('name a baseline: ["${env}", rl2, baseline, ucb1, "${args}"].')
    metric = parts["metric"].value()
    if not isinstance(metric, dict) or metric.get("name") != "mean":
        raise parts["metric"].error("the metric is {name: mean, goal: maximize}.")
    fixed: dict[str, Any] = {}
    varied: dict[str, BaseDistribution] = {}
    for name, node in parts["parameters"].parts().items():
        entry = node.parts()
        if "value" in entry:
            fixed[name] = entry["value"].value()
        else:
            varied[name] = _distribution(name, node, method)
    sweep = Sweep(
        str(parts["name"].value()) if "name" in parts else path.stem,
        str(words[words.index("baseline") + 1]),
        str(method),
        metric.get("goal", "maximize") == "maximize",
        fixed,
        varied,
    )
    _check_values(sweep, parts["parameters"], parts["command"])
    return sweep


def _distribution(name: str, node: _Node, method: str) -> BaseDistribution:
    entry = node.parts()
    if "values" in entry:
        values = entry["values"].value()
        if not isinstance(values, list) or not values:
            raise entry["values"].error(f"{name} has no values to choose from.")
        return CategoricalDistribution(values)
    if method == "grid":
        raise node.error(f"{name}: a grid needs `values`, or `value`.")
    if not {"min", "max"} <= entry.keys():
        raise node.error(f"{name}: give `value`, `values`, or `min` and `max`.")
    low, high = entry["min"].value(), entry["max"].value()
    if not all(isinstance(bound, (int, float)) for bound in (low, high)) or low >= high:
        raise node.error(f"{name}: min={low!r} must be a number below max={high!r}.")
    kind = entry["distribution"].value() if "distribution" in entry else "uniform"
    if isinstance(low, int) and isinstance(high, int) and kind in ("uniform", "int_uniform"):
        return IntDistribution(low, high)
    if kind in ("uniform", "log_uniform_values"):
        return FloatDistribution(low, high, log=kind == "log_uniform_values")
    raise entry["distribution"].error(
        f"distribution {kind!r}: use uniform, int_uniform or log_uniform_values."
    )


def _check_values(sweep: Sweep, parameters: _Node, command: _Node) -> None:
    """Names and types of all values; then an agent for each, one away from the first point."""
    values = {name: [value] for name, value in sweep.fixed.items()}
    values |= {name: _values(distribution) for name, distribution in sweep.varied.items()}
    nodes = parameters.parts()
    first = {name: values[name][0] for name in nodes}
    task = first.get("task", "bandit")
    try:
        BASELINES.load(sweep.baseline)
    except (ValueError, RuntimeError) as error:
        raise command.error(str(error)) from error
    for name, node in nodes.items():
        for value in values[name]:
            with _at(node):
                check_parameter(sweep.baseline, task, name, value)
    for name, node in nodes.items():
        for value in values[name]:
            with _at(node):
                check_score(sweep.baseline, {**first, name: value})


@contextmanager
def _at(node: _Node) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise node.error(str(error)) from error


def _values(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return [distribution.low, distribution.high]


def run_sweep(
    sweep: Sweep,
    storage: str,
    workers: int = 1,
    trials: int | None = None,
    progress: bool = True,
    pool: Executor | None = None,
) -> Study:
    """Run what is left of a sweep.

    :param storage: Optuna's, for example ``sqlite:///results/sweeps.db``, a file of one session
        at a time; several machines may share another
    :param workers: processes
    :param trials: how many points, for ``random`` and ``bayes``
    :param pool: processes to use instead of new ones, as many as ``workers``
    """
    with alone(storage):
        return _run(sweep, storage, workers, trials, progress, pool)


def _run(
    sweep: Sweep,
    storage: str,
    workers: int,
    trials: int | None,
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
        for stale in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(stale.number, state=TrialState.FAIL)  # an interrupted session left it
    total = len(sweep.grid()) if sweep.method == "grid" else trials or 100
    bar = tqdm(total=total, initial=len(_done(study)), desc=sweep.name, disable=not progress)
    asked: dict[Future[Score], optuna.Trial] = {}
    with nullcontext(pool) if pool else processes(workers) as pool, bar:
        while True:
            while len(asked) < 2 * workers and (trial := _ask(sweep, study, asked.values(), total)):
                point = {**sweep.fixed, **trial.params}
                asked[pool.submit(score, sweep.baseline, point)] = trial
            if not asked:
                return study
            for future in wait(asked, return_when=FIRST_COMPLETED).done:
                trial, result = asked.pop(future), future.result()
                trial.set_user_attr("standard_error", result.standard_error)
                study.tell(trial, result.mean)
                bar.update()


@contextmanager
def alone(storage: str) -> Iterator[None]:
    """Keep other sessions off a storage that is a file: they would take our trials for stale.

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
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def _ask(
    sweep: Sweep, study: Study, ours: Collection[optuna.Trial], total: int
) -> optuna.Trial | None:
    """Begin a trial, or none if all are done or ``ours``, begun here."""
    if sweep.method == "grid":
        taken = {_key(trial.params) for trial in (*_done(study), *ours)}
        missing = [point for point in sweep.grid() if _key(point) not in taken]
        if not missing:
            return None
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        elsewhere = {_key(trial.params) for trial in running}

        def place(point: dict[str, Any]) -> tuple[bool, int]:
            return _key(point) in elsewhere, -work({**sweep.fixed, **point})

        study.enqueue_trial(min(missing, key=place))
    elif len(_done(study)) + len(ours) >= total:
        return None
    # GridSampler is not used: it takes failed trials for visited points.
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


def _done(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _results(sweep: Sweep, study: Study) -> list[tuple[dict[str, Any], FrozenTrial]]:
    """The points that were run, by their values, in whatever order they were run.

    Each is there once: two workers may have played the same, alike.
    """
    trials = {_key(trial.params): trial for trial in _done(study)}
    results = [({**sweep.fixed, **trial.params}, trial) for trial in trials.values()]
    return sorted(results, key=lambda result: _order(result[0]))


def write_points(sweep: Sweep, study: Study, path: Path) -> None:
    """Write a CSV with a row for each point that was run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [*sweep.fixed, *sweep.varied]
    rows = []
    for point, trial in _results(sweep, study):
        error = trial.user_attrs["standard_error"]
        row = [sweep.baseline, *(point[name] for name in names)]
        rows.append([*row, f"{trial.value:.6g}", f"{error:.3g}"])
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["agent", *names, "mean", "standard_error"])
        writer.writerows(rows)


def best_points(sweep: Sweep, study: Study) -> list[dict[str, Any]]:
    """The best point of each setting: the same task, as many episodes, the same prior.

    Of equal ones it is the first by its values.
    """
    best: dict[frozenset[tuple[str, Any]], tuple[float, dict[str, Any]]] = {}
    for point, trial in _results(sweep, study):
        key = _key(setting(point))
        value = trial.value if sweep.maximise else -(trial.value or 0.0)
        assert value is not None
        if key not in best or value > best[key][0]:
            best[key] = value, point
    return sorted((point for _, point in best.values()), key=_order)


def _order(point: dict[str, Any]) -> list[tuple[bool, Any]]:
    """To sort points by their values: numbers by size and before the rest, which sorts as text."""
    values = point.values()
    return [(False, v) if isinstance(v, (int, float)) else (True, str(v)) for v in values]
