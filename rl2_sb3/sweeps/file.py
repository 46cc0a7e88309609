"""The file of a sweep, YAML in W&B's format: read, and checked before anything runs."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rl2_sb3.registry import BASELINES, did_you_mean
from rl2_sb3.sweeps.baselines import check_parameter, check_point
from rl2_sb3.sweeps.command import Command, read_command
from rl2_sb3.sweeps.nodes import Node, read_yaml
from rl2_sb3.sweeps.options import check_option
from rl2_sb3.sweeps.parameters import LARGEST_GRID, Parameter, read_parameters

TEXTS = ("name", "program", "description", "project", "entity")
KEYS = ("command", "method", "metric", "parameters", "run_cap", "early_terminate", *TEXTS)
METHODS = ("grid", "random", "bayes")
NAME = r"\w[\w .-]{0,99}"


class Hyperband(NamedTuple):
    """When runs are stopped early; an iteration is an entry of the log that has the metric.

    :param first: iteration at which the first are stopped
    :param last: that of the whole run, if it is known
    :param factor: one run of so many goes on
    """

    first: int
    last: int | None
    factor: int


@dataclass(frozen=True)
class Sweep:
    """A sweep file's content.

    :param method: ``grid``, ``random`` or ``bayes``
    :param metric: what is maximised or minimised
    :param fixed: parameters with one value, nested ones by their names with dots
    :param varied: the others, each with what to choose from
    :param run_cap: the most configurations
    """

    name: str
    command: Command
    method: str
    metric: str
    maximise: bool
    fixed: dict[str, Any]
    varied: dict[str, Parameter]
    run_cap: int | None = None
    hyperband: Hyperband | None = None

    @property
    def of_baseline(self) -> bool:
        """Whether it plays a baseline; else it trains agents."""
        return self.command.kind == "baseline"

    @property
    def size(self) -> int:
        """Configurations of a grid."""
        return math.prod(len(each.all_values()) for each in self.varied.values())

    def grid(self) -> list[dict[str, Any]]:
        """All configurations of a grid: the values of what varies."""
        values = (each.all_values() for each in self.varied.values())
        return [dict(zip(self.varied, point, strict=True)) for point in itertools.product(*values)]

    def content(self) -> dict[str, str]:
        """What makes its numbers what they are; another content is another study."""
        fixed = {name: repr(value) for name, value in self.fixed.items()}
        varied = {
            name: ", ".join([each.kind, *map(repr, (*each.values, *each.probabilities)), *numbers])
            for name, each in self.varied.items()
            for numbers in [[f"{key}={number!r}" for key, number in each.numbers]]
        }
        words = " ".join([self.command.kind, *self.command.words])
        goal = "maximize" if self.maximise else "minimize"
        told = {"command": words, "method": self.method, "metric": f"{self.metric}, {goal}"}
        return {**told, **fixed, **varied}


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
    texts = {key: parts[key].text() for key in TEXTS if key in parts}
    name = texts.get("name", path.stem)
    if not re.fullmatch(NAME, name):
        raise parts.get("name", root).error(
            f"the name {name!r} is to be a file's: use letters, digits, spaces, '.', '_' and '-', "
            "up to 100, a letter, a digit or '_' first."
        )
    method = _one_of(parts["method"], "method", METHODS)
    command = read_command(parts["command"], texts.get("program", ""))
    metric, maximise = _metric(parts["metric"], command)
    found = list(read_parameters(parts["parameters"], method))
    sweep = Sweep(
        name,
        command,
        method,
        metric,
        maximise,
        {key: each.values[0] for key, _, each in found if each.kind == "constant"},
        {key: each for key, _, each in found if each.kind != "constant"},
        _whole(parts["run_cap"], 1) if "run_cap" in parts else None,
        _hyperband(parts["early_terminate"], command) if "early_terminate" in parts else None,
    )
    if method == "grid" and sweep.size > LARGEST_GRID:
        raise parts["parameters"].error(
            f"a grid of {sweep.size:,} points, more than {LARGEST_GRID:,}: give fewer values, or "
            "use `method: random` and --points."
        )
    if method != "grid" and not sweep.varied:
        raise parts["parameters"].error(f"nothing varies: {method} needs `values` or a range.")
    _check_values(sweep, found, parts["command"])
    return sweep


def _one_of(node: Node, what: str, known: tuple[str, ...]) -> str:
    value = node.value()
    if value not in known:
        hint = did_you_mean(str(value), list(known)) or f" Use one of {', '.join(known)}."
        raise node.error(f"{what} {value!r}.{hint}")
    return str(value)


def _metric(metric: Node, command: Command) -> tuple[str, bool]:
    """The metric's name, and whether it is maximised."""
    parts = metric.parts(("name", "goal"))
    name = parts["name"].text() if "name" in parts else ""
    if command.kind == "baseline" and name != "mean":
        raise metric.error("the metric is {name: mean, goal: maximize}.")
    if not name:
        raise metric.error("name a metric that the command logs: {name: trial/return, goal: ...}.")
    if "goal" not in parts:
        raise metric.error("give a goal, maximize or minimize, which is W&B's default.")
    return name, _one_of(parts["goal"], "goal", ("maximize", "minimize")) == "maximize"


def _whole(node: Node, low: int) -> int:
    value = node.value()
    if type(value) is not int or value < low:
        raise node.error(f"{value!r}: use a whole number from {low} on.")
    return value


def _hyperband(node: Node, command: Command) -> Hyperband:
    parts = node.parts(("type", "min_iter", "max_iter", "s", "eta"))
    if "type" not in parts:
        raise node.error("early_terminate needs `type: hyperband`.")
    _one_of(parts["type"], "early_terminate: type", ("hyperband",))
    if command.kind == "baseline":
        raise node.error("a baseline logs nothing on its way: early_terminate is for training.")
    factor = _whole(parts["eta"], 2) if "eta" in parts else 3
    if parts.keys() - {"type", "eta"} == {"min_iter"}:
        return Hyperband(_whole(parts["min_iter"], 1), None, factor)
    if parts.keys() - {"type", "eta"} != {"max_iter", "s"}:
        raise node.error("give either `min_iter`, or `max_iter` and `s`.")
    last, stops = _whole(parts["max_iter"], 1), _whole(parts["s"], 1)
    if last < factor**stops:
        raise node.error(f"max_iter={last} is no {stops} times divisible by eta={factor}.")
    return Hyperband(last // factor**stops, last, factor)


def _check_values(sweep: Sweep, found: list[tuple[str, Node, Parameter]], command: Node) -> None:
    """Names and types of all values; of a baseline, also an agent for each."""
    values = {name: each.examples() for name, _, each in found}
    if not sweep.of_baseline:
        for name, node, _ in found:
            for value in values[name]:
                with _at(node):
                    check_option(sweep.command, name, value)
        return
    baseline, given = sweep.command.target, sweep.command.given()
    first = given | {name: each[0] for name, each in values.items()}
    task = first.get("task", "bandit")
    with _at(command):
        BASELINES.load(baseline)
        for name, value in given.items():
            check_parameter(baseline, task, name, value)
    for name, node, _ in found:
        for value in values[name]:
            with _at(node):
                check_parameter(baseline, task, name, value)
    for name, node, _ in found:
        for value in values[name]:
            with _at(node, {key: at for key, at, _ in found}):
                check_point(baseline, {**first, name: value})


@contextmanager
def _at(node: Node, others: Mapping[str, Node] | None = None) -> Iterator[None]:
    """Give an error its line.

    :param others: of which it may be instead: it begins with ``NAME=``
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        node = (others or {}).get(str(error).partition("=")[0], node)
        raise node.error(str(error)) from error
