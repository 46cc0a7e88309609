"""The file of a sweep, YAML in W&B's format: read, and checked before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from rl2_sb3.registry import BASELINES, did_you_mean
from rl2_sb3.sweeps.nodes import Node, read_yaml
from rl2_sb3.sweeps.objective import check_parameter, check_point

TEXTS = ("name", "program", "description", "project")
KEYS = ("command", "method", "metric", "parameters", *TEXTS)
METHODS = ("grid", "random", "bayes")
ENTRY = ("value", "values", "min", "max", "distribution")
"""Keys of a parameter."""
WAYS = (("value",), ("values",), ("min", "max"))
"""What goes together in a parameter."""
DISTRIBUTIONS = {
    "value": ("constant",),
    "values": ("categorical",),
    "min": ("uniform", "int_uniform", "log_uniform_values"),
}
"""Names that W&B has for each way, and that are supported."""
NAME = r"\w[\w .-]{0,99}"
LARGEST_GRID = 100_000
"""Points of a grid."""
LARGEST_BOUND = 2.0**53
"""Of a range: beyond it there are whole numbers that no float is."""


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

    @property
    def points(self) -> int:
        """How many combinations of the values there are."""
        return math.prod(len(_values(distribution)) for distribution in self.varied.values())

    def grid(self) -> list[dict[str, Any]]:
        """All combinations of the values, where all parameters have a list of them."""
        points = itertools.product(*map(_values, self.varied.values()))
        return [dict(zip(self.varied, values, strict=True)) for values in points]


def load_sweep(path: Path) -> Sweep:
    """Read a sweep file and check it, every value of it.

    What is accepted is a part of W&B's format: what W&B would refuse, this does, too, and what it
    would run otherwise than W&B.

    :raises ValueError: what cannot be run, with its line
    """
    root = read_yaml(path)
    parts = root.parts(KEYS)
    for key in ("command", "method", "metric", "parameters"):
        if key not in parts:
            raise root.error(f"the key {key!r} is missing.")
    for key in TEXTS:
        if key in parts:
            parts[key].text()
    name = parts["name"].text() if "name" in parts else path.stem
    if not re.fullmatch(NAME, name):
        raise parts.get("name", root).error(
            f"the name {name!r} is to be a file's: use letters, digits, spaces, '.', '_' and '-', "
            "up to 100, a letter, a digit or '_' first."
        )
    method = _one_of(parts["method"], "method", METHODS)
    fixed, varied = _parameters(parts["parameters"], method)
    sweep = Sweep(
        name, _baseline(parts["command"]), method, _maximise(parts["metric"]), fixed, varied
    )
    if method == "grid" and sweep.points > LARGEST_GRID:
        raise parts["parameters"].error(
            f"a grid of {sweep.points:,} points, more than {LARGEST_GRID:,}: give fewer values, or "
            "use `method: random` and --points."
        )
    if method != "grid" and not varied:
        raise parts["parameters"].error(f"nothing varies: {method} needs `values` or a range.")
    _check_values(sweep, parts["parameters"], parts["command"])
    return sweep


def _one_of(node: Node, what: str, known: tuple[str, ...]) -> str:
    value = node.value()
    if value not in known:
        hint = did_you_mean(str(value), list(known)) or f" Use one of {', '.join(known)}."
        raise node.error(f"{what} {value!r}.{hint}")
    return str(value)


def _maximise(metric: Node) -> bool:
    parts = metric.parts(("name", "goal"))
    if "name" not in parts or parts["name"].value() != "mean":
        raise metric.error("the metric is {name: mean, goal: maximize}.")
    if "goal" not in parts:
        raise metric.error("give a goal, maximize or minimize, which is W&B's default.")
    return _one_of(parts["goal"], "goal", ("maximize", "minimize")) == "maximize"


def _baseline(command: Node) -> str:
    """The baseline's name, of a command that W&B would run and whose words all have an effect."""
    words = [word for word in command.items() if word not in ("${env}", "${interpreter}")]
    if (
        len(words) != 4
        or words[0] not in ("rl2", "${program}")
        or (words[1], words[3]) != ("baseline", "${args}")
    ):
        raise command.error(
            'name a baseline: ["${env}", rl2, baseline, ucb1, "${args}"]; its options are '
            "`parameters`."
        )
    return str(words[2])


def _parameters(
    parameters: Node, method: str
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Those with one value, and the others with what to choose from."""
    fixed: dict[str, Any] = {}
    varied: dict[str, BaseDistribution] = {}
    nodes = parameters.parts()
    if not nodes:
        raise parameters.error("there are no parameters.")
    for name, node in nodes.items():
        entry = node.parts(ENTRY)
        kinds = [kind for kind in WAYS if kind[0] in entry]
        if len(kinds) != 1 or not set(kinds[0]) <= entry.keys() <= {*kinds[0], "distribution"}:
            raise node.error(
                f"{name}: give either `value`, or `values`, or `min` and `max`, and no other key "
                "but `distribution`."
            )
        kind = kinds[0][0]
        if "distribution" in entry:
            _one_of(entry["distribution"], f"{name}: the distribution", DISTRIBUTIONS[kind])
        if kind == "value":
            fixed[name] = entry["value"].value()
        elif kind == "values":
            varied[name] = _choice(name, entry["values"])
        elif method == "grid":
            raise node.error(f"{name}: a grid needs `values`, or `value`.")
        else:
            varied[name] = _range(name, node, entry)
    return fixed, varied


def _choice(name: str, node: Node) -> CategoricalDistribution:
    values = node.items()
    if not values:
        raise node.error(f"{name} has no values to choose from.")
    if len(set(values)) < len(values):
        value = next(value for value in values if values.count(value) > 1)
        raise node.error(f"{name} has the value {value!r} twice.")
    return CategoricalDistribution(values)


def _range(name: str, node: Node, entry: dict[str, Node]) -> BaseDistribution:
    low, high = entry["min"].value(), entry["max"].value()
    if not all(type(bound) in (int, float) for bound in (low, high)) or low >= high:
        raise node.error(f"{name}: min={low!r} must be a number below max={high!r}.")
    if max(abs(low), abs(high)) > LARGEST_BOUND:
        raise node.error(f"{name}: min={low!r}, max={high!r}: beyond {LARGEST_BOUND:g}.")
    whole = isinstance(low, int) and isinstance(high, int)
    kind = "int_uniform" if whole else "uniform"
    if "distribution" in entry:
        kind = entry["distribution"].value()
    if kind == "int_uniform" and not whole:
        raise node.error(f"{name}: int_uniform needs whole numbers, min={low!r}, max={high!r}.")
    if kind == "log_uniform_values" and low <= 0:
        raise node.error(f"{name}: log_uniform_values needs min={low!r} above 0.")
    if whole and kind != "log_uniform_values":
        return IntDistribution(low, high)
    return FloatDistribution(low, high, log=kind == "log_uniform_values")


def _check_values(sweep: Sweep, parameters: Node, command: Node) -> None:
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
def _at(node: Node) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise node.error(str(error)) from error


def _values(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return [distribution.low, distribution.high]
