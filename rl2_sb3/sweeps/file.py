"""The file of a sweep, YAML in W&B's format: read, and checked before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from rl2_sb3.registry import BASELINES, did_you_mean
from rl2_sb3.sweeps.objective import check_parameter, check_point

KEYS = ("program", "command", "method", "metric", "parameters", "name", "description", "project")
METHODS = ("grid", "random", "bayes")


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
    root = _read(path)
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
    metric = parts["metric"].value()
    if not isinstance(metric, dict) or metric.get("name") != "mean":
        raise parts["metric"].error("the metric is {name: mean, goal: maximize}.")
    fixed, varied = _parameters(parts["parameters"], method)
    sweep = Sweep(
        str(parts["name"].value()) if "name" in parts else path.stem,
        _baseline(parts["command"]),
        str(method),
        metric.get("goal", "maximize") == "maximize",
        fixed,
        varied,
    )
    _check_values(sweep, parts["parameters"], parts["command"])
    return sweep


def _read(path: Path) -> _Node:
    try:
        tree = yaml.compose(path.read_text(), yaml.SafeLoader)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if tree is None:
        raise ValueError(f"{path} is empty.")
    return _Node(path, tree)


def _baseline(command: _Node) -> str:
    """The baseline's name: the word after ``baseline`` in the command."""
    words = command.value()
    if not isinstance(words, list) or "baseline" not in words[:-1]:
        raise command.error('name a baseline: ["${env}", rl2, baseline, ucb1, "${args}"].')
    return str(words[words.index("baseline") + 1])


def _parameters(
    parameters: _Node, method: str
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Those with one value, and the others with what to choose from."""
    fixed: dict[str, Any] = {}
    varied: dict[str, BaseDistribution] = {}
    for name, node in parameters.parts().items():
        entry = node.parts()
        if "value" in entry:
            fixed[name] = entry["value"].value()
        else:
            varied[name] = _distribution(name, node, method)
    return fixed, varied


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
                check_point(sweep.baseline, {**first, name: value})


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
