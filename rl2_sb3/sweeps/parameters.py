"""The parameters of a sweep's file: what each is chosen from, in W&B's terms and in Optuna's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from scipy import stats

from rl2_sb3.registry import did_you_mean
from rl2_sb3.sweeps.nodes import Node

NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
RANGE, BELL, BETA, Q = ("min", "max"), ("mu", "sigma"), ("a", "b"), ("q",)
KEYS = {
    "constant": ("value",),
    "categorical": ("values",),
    "categorical_w_probabilities": ("values", "probabilities"),
    **dict.fromkeys(("int_uniform", "uniform"), RANGE),
    **dict.fromkeys(("log_uniform", "log_uniform_values"), RANGE),
    **dict.fromkeys(("inv_log_uniform", "inv_log_uniform_values"), RANGE),
    **dict.fromkeys(("q_uniform", "q_log_uniform", "q_log_uniform_values"), RANGE + Q),
    **dict.fromkeys(("normal", "log_normal"), BELL),
    **dict.fromkeys(("q_normal", "q_log_normal"), BELL + Q),
    **{"beta": BETA, "q_beta": BETA + Q},
}
"""W&B's distributions, each with the keys that it takes."""
DEFAULTS: dict[str, float] = {"mu": 0.0, "sigma": 1.0, "a": 1.0, "b": 1.0, "q": 1.0}
LARGEST_BOUND = 2.0**53
"""Of a range: beyond it there are whole numbers that no float is."""
LARGEST_EXPONENT = 36.0
"""Of e, in a range: e to it is about the bound above."""
LARGEST_GRID = 100_000
"""Values of a grid's parameter."""
EDGE = 1e-6
"""Share of a distribution's tails that is never drawn: a normal one has no end."""
NEAR = 0.01
"""Share of its tails whose values are not checked before they are drawn."""


@dataclass(frozen=True)
class Parameter:
    """What the values of one parameter are chosen from.

    Optuna has W&B's uniform and log-uniform distributions. Of the others it chooses the quantile,
    a number from 0 to 1, whose value is W&B's.

    :param kind: W&B's name of the distribution
    :param values: to choose one of
    :param probabilities: theirs
    :param numbers: the distribution's keys, such as ``min`` and ``max``
    """

    kind: str
    values: tuple[Any, ...] = ()
    probabilities: tuple[float, ...] = ()
    numbers: tuple[tuple[str, float], ...] = ()

    @property
    def chosen(self) -> BaseDistribution:
        """What Optuna chooses from."""
        given: dict[str, Any] = dict(self.numbers)
        low, high = given.get("min"), given.get("max")
        if self.kind == "categorical":
            return CategoricalDistribution([label(value) for value in self.values])
        if self.kind == "int_uniform":
            return IntDistribution(int(given["min"]), int(given["max"]))
        if self.kind == "uniform":
            return FloatDistribution(given["min"], given["max"])
        if self.kind in ("log_uniform_values", "inv_log_uniform_values"):
            return FloatDistribution(given["min"], given["max"], log=True)
        if self.kind == "log_uniform":
            return FloatDistribution(math.exp(given["min"]), math.exp(given["max"]), log=True)
        if self.kind == "inv_log_uniform":  # the logarithm of 1/x is uniform
            assert low is not None
            assert high is not None
            return FloatDistribution(math.exp(-high), math.exp(-low), log=True)
        return FloatDistribution(EDGE, 1 - EDGE)

    @property
    def quantile(self) -> bool:
        """Whether it is the quantile that Optuna chooses."""
        return self.kind.startswith(("q_", "beta", "normal", "log_normal", "categorical_w"))

    def value(self, chosen: Any) -> Any:
        """The parameter's value, of what Optuna chose."""
        if self.kind == "categorical":
            return next(value for value in self.values if label(value) == chosen)
        if not self.quantile:
            return chosen
        if self.kind == "categorical_w_probabilities":
            at = np.searchsorted(np.cumsum(self.probabilities) / sum(self.probabilities), chosen)
            return self.values[int(at)]
        given = dict(self.numbers)
        value = _quantile(self.kind.removeprefix("q_"), given, chosen)
        return _rounded(value, given["q"]) if "q" in given else float(value)

    def all_values(self) -> list[Any]:
        """Those of a grid.

        :raises ValueError: there is no end of them
        """
        given = dict(self.numbers)
        if self.values:
            return list(self.values)
        if self.kind == "int_uniform" and given["max"] - given["min"] < LARGEST_GRID:
            return list(range(int(given["min"]), int(given["max"]) + 1))
        if self.kind == "q_uniform" and (given["max"] - given["min"]) / given["q"] < LARGEST_GRID:
            low, high = math.ceil(given["min"] / given["q"]), math.floor(given["max"] / given["q"])
            return [_rounded(i * given["q"], given["q"]) for i in range(low, high + 1)]
        raise ValueError("a grid needs `values`, `value`, int_uniform or q_uniform.")

    def examples(self) -> list[Any]:
        """Values to check: all, or those near both ends."""
        if self.values:
            return list(self.values)
        if self.quantile:
            return [self.value(share) for share in (NEAR, 1 - NEAR)]
        distribution = self.chosen
        assert isinstance(distribution, (FloatDistribution, IntDistribution))
        return [self.value(distribution.low), self.value(distribution.high)]


def label(value: Any) -> Any:
    """A value as Optuna keeps it among others: a list is text."""
    return json.dumps(value) if isinstance(value, list) else value


def _quantile(kind: str, given: dict[str, float], share: float) -> float:
    if kind == "uniform":
        return given["min"] + (given["max"] - given["min"]) * share
    if kind == "log_uniform":
        return math.exp(given["min"] + (given["max"] - given["min"]) * share)
    if kind == "log_uniform_values":
        return math.exp(math.log(given["min"]) + math.log(given["max"] / given["min"]) * share)
    if kind == "beta":
        return float(stats.beta.ppf(share, given["a"], given["b"]))
    normal = float(stats.norm.ppf(share, given["mu"], given["sigma"]))
    return math.exp(normal) if kind == "log_normal" else normal


def _rounded(value: float, q: float) -> float:
    """The nearest multiple of q: a whole number where q is one, as on W&B."""
    rounded = round(value / q) * q
    return int(rounded) if isinstance(q, int) else float(f"{rounded:.12g}")


def read_parameters(
    parameters: Node, method: str, prefix: str = ""
) -> Iterator[tuple[str, Node, Parameter]]:
    """The parameters of a file, nested ones by their names with dots, each with its place.

    :raises ValueError: what is none, with its line
    """
    nodes = parameters.parts()
    if not nodes:
        raise parameters.error("there are no parameters.")
    for name, node in nodes.items():
        path = f"{prefix}{name}"
        known = {key for keys in KEYS.values() for key in keys} | {"distribution", "parameters"}
        entry = node.parts(tuple(sorted(known)))
        if "parameters" in entry:
            if len(entry) > 1:
                raise node.error(f"{path}: `parameters` stands alone.")
            yield from read_parameters(entry["parameters"], method, f"{path}.")
        else:
            yield path, node, _parameter(path, node, entry, method)


def _parameter(name: str, node: Node, entry: dict[str, Node], method: str) -> Parameter:
    kind = _kind(name, node, entry)
    keys = entry.keys() - {"distribution"}
    needed = {key for key in KEYS[kind] if key not in DEFAULTS}
    if not needed <= keys <= set(KEYS[kind]):
        words = ", ".join(f"`{key}`" for key in KEYS[kind])
        raise node.error(f"{name}: the distribution {kind!r} takes {words}, and no other key.")
    if kind == "constant":
        return Parameter(kind, (entry["value"].value_or_list(),))
    if "values" in entry:
        return _choice(name, kind, entry)
    parameter = Parameter(kind, numbers=_numbers(name, node, kind, entry))
    if method == "grid":
        try:
            parameter.all_values()
        except ValueError as error:
            raise node.error(f"{name}: {error}") from error
    return parameter


def _kind(name: str, node: Node, entry: dict[str, Node]) -> str:
    """W&B's name of a parameter's distribution, given or by its keys."""
    if "distribution" in entry:
        kind = entry["distribution"].value()
        if kind not in KEYS:
            hint = did_you_mean(str(kind), list(KEYS)) or f" There is: {', '.join(KEYS)}."
            raise entry["distribution"].error(f"{name}: the distribution {kind!r}.{hint}")
        return str(kind)
    keys = entry.keys()
    if keys == {"min", "max"}:
        bounds = [entry[key].value() for key in ("min", "max")]
        return "int_uniform" if all(type(bound) is int for bound in bounds) else "uniform"
    for kind in ("constant", "categorical", "categorical_w_probabilities"):
        if keys == set(KEYS[kind]):
            return kind
    raise node.error(
        f"{name}: give either `value`, or `values`, or `min` and `max`, or a `distribution` with "
        "its keys."
    )


def _choice(name: str, kind: str, entry: dict[str, Node]) -> Parameter:
    node = entry["values"]
    values = node.values()
    labels = [label(value) for value in values]
    if not values:
        raise node.error(f"{name} has no values to choose from.")
    if len(set(labels)) < len(labels):
        value = next(value for value in labels if labels.count(value) > 1)
        raise node.error(f"{name} has the value {value!r} twice.")
    weights: tuple[float, ...] = ()
    if "probabilities" in entry:
        at = entry["probabilities"]
        weights = tuple(at.items())
        if len(weights) != len(values) or not all(_is_number(w) and w >= 0 for w in weights):
            raise at.error(f"{name}: give {len(values)} probabilities, a number for each value.")
        if abs(sum(weights) - 1) > 1e-6:
            raise at.error(f"{name}: the probabilities add up to {sum(weights):g}, not to 1.")
    return Parameter(kind, tuple(values), weights)


def _numbers(
    name: str, node: Node, kind: str, entry: dict[str, Node]
) -> tuple[tuple[str, float], ...]:
    """The keys of a distribution with their values.

    :raises ValueError: no numbers, or none that make a distribution
    """
    given = {key: entry[key].value() if key in entry else DEFAULTS[key] for key in KEYS[kind]}
    for key, value in given.items():
        if not _is_number(value):
            raise node.error(f"{name}: {key}={value!r} must be a number.")
    for key in ("sigma", "a", "b", "q"):
        if given.get(key, 1) <= 0:
            raise node.error(f"{name}: {key}={given[key]!r} must be above 0.")
    if "min" in given:
        low, high = given["min"], given["max"]
        if low >= high:
            raise node.error(f"{name}: min={low!r} must be a number below max={high!r}.")
        exponents = kind.endswith("log_uniform")
        largest = LARGEST_EXPONENT if exponents else LARGEST_BOUND
        if max(abs(low), abs(high)) > largest:
            raise node.error(f"{name}: min={low!r}, max={high!r}: beyond {largest:g}.")
        if kind.endswith("_values") and low <= 0:
            raise node.error(f"{name}: {kind} needs min={low!r} above 0.")
        if kind == "int_uniform" and not (type(low) is int and type(high) is int):
            raise node.error(f"{name}: int_uniform needs whole numbers, min={low!r}, max={high!r}.")
    return tuple(given.items())


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
