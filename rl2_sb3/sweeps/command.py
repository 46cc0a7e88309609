"""The command of a sweep: one of ours, with W&B's macros for the parameters of a configuration."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from rl2_sb3.presets import NONE, load
from rl2_sb3.registry import did_you_mean, literal
from rl2_sb3.sweeps.nodes import Node

KINDS = ("baseline", "train", "imitate")
"""Commands that print or log a metric."""
ARGS = ("${args}", "${args_no_equals}", "${args_no_boolean_flags}")
"""W&B's macros for the parameters: ``--name=value``, ``--name value``, and the first with switches
as ``--name`` or not at all."""
ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
EXAMPLE = '["${env}", rl2, train, bandit, --arms=5, "${args}"]'
OURS = ("out", "resume", "overwrite")
"""Options that the sweep gives to each run."""


class Command(NamedTuple):
    """What runs for each configuration.

    :param kind: of :data:`KINDS`
    :param target: the baseline's name, or that of the task
    :param words: after the kind, one of them a macro for the parameters
    """

    kind: str
    target: str
    words: tuple[str, ...]

    def for_point(self, point: Mapping[str, Any]) -> list[str]:
        """The words of a configuration, as W&B's agent makes them.

        :param point: the parameters by their names, nested ones with dots
        """
        words: list[str] = []
        for word in self.words:
            words += _flags(word, _nested(point)) if word in ARGS else [word]
        return words

    def given(self) -> dict[str, Any]:
        """Of a baseline: the options that stand in the command itself."""
        pairs = [word[2:].partition("=") for word in self.words[1:] if word not in ARGS]
        return {name.replace("-", "_"): literal(text) for name, _, text in pairs}


def read_command(node: Node, program: str) -> Command:
    """A command that W&B would run and whose words all have an effect.

    :param program: the file's
    :raises ValueError: another
    """
    words = [_expanded(str(word)) for word in node.items()]
    if words[:1] == ["${env}"]:
        words.pop(0)
    for begin in (["${interpreter}", "-m", "rl2_sb3"], ["python", "-m", "rl2_sb3"], ["rl2"]):
        if words[: len(begin)] == begin:
            words = words[len(begin) :]
            break
    else:
        if words[:1] != ["${program}"] or program != "rl2":
            raise node.error(f"the command must be one of ours, such as {EXAMPLE}.")
        words.pop(0)
    kind = words[0] if words else ""
    if kind not in KINDS:
        hint = did_you_mean(kind, list(KINDS)) or f" Use one of {', '.join(KINDS)}."
        raise node.error(f"`rl2 {kind}` cannot be swept.{hint}")
    rest = words[1:]
    if sum(word in ARGS for word in rest) != 1:
        raise node.error(f"the parameters need one place in the command: {EXAMPLE}.")
    for word in rest:
        if "${" in word and word not in ARGS:
            raise node.error(f"unknown macro in {word!r}: there is {', '.join(ARGS)}.")
        if (name := word.partition("=")[0].lstrip("-")) in OURS and word.startswith("--"):
            raise node.error(f"--{name}: the sweep gives each run a folder of its own: leave it.")
    return Command(kind, _target(node, kind, rest), tuple(rest))


def _target(node: Node, kind: str, rest: list[str]) -> str:
    """The baseline or the task that the words name."""
    first = rest[0]
    if kind == "baseline":
        others = [word for word in rest[1:] if word not in ARGS]
        if first.startswith(("-", "${")) or not all(
            word.startswith("--") and "=" in word for word in others
        ):
            raise node.error(
                'name a baseline: ["${env}", rl2, baseline, ucb1, "${args}"]; its options are '
                "`parameters`, or --name=value."
            )
        return first
    if not first.startswith(("-", "${")):
        return first
    names = [word.partition("=")[2] for word in rest if word.startswith("--preset=")]
    names += [word for before, word in itertools.pairwise(rest) if before == "--preset"]
    try:
        task = load(names[0] if names else NONE).task
    except ValueError as error:
        raise node.error(str(error)) from error
    if task is None:
        raise node.error(f"name a task after {kind}, such as {EXAMPLE}.")
    return task


def _expanded(word: str) -> str:
    """A word with the environment's variables, those that are not set by their names, as W&B."""
    return ENVIRONMENT.sub(lambda match: os.environ.get(match[1], match[1]), word)


def _nested(point: Mapping[str, Any]) -> dict[str, Any]:
    """Names with dots as mappings."""
    whole: dict[str, Any] = {}
    for name, value in point.items():
        *groups, last = name.split(".")
        inner = whole
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return whole


def _flags(macro: str, point: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in point.items():
        if macro == "${args_no_equals}":
            words += [f"--{name}", str(value)]
        elif macro == "${args}" or not isinstance(value, bool):
            words.append(f"--{name}={value}")
        elif value:
            words.append(f"--{name}")
    return words
