"""Options of ``rl2 train`` and ``rl2 imitate`` as parameters of a sweep: checked by their types."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from functools import cache
from pathlib import Path
from typing import Any

from rl2_sb3.config import FolderConfig, ImitationRunConfig, TrainConfig
from rl2_sb3.options import nested
from rl2_sb3.ranges import check_options
from rl2_sb3.registry import TASKS, did_you_mean
from rl2_sb3.sweeps.command import OURS, Command

CONFIGS: dict[str, type[Any]] = {"train": TrainConfig, "imitate": ImitationRunConfig}


def check_option(command: Command, name: str, value: Any) -> None:
    """Check a parameter's name and value.

    The groups of a configuration, such as ``network`` and ``learning``, may be named before an
    option; and ``options`` before one of the task's. Options whose names only a plugin knows are
    nested in theirs: ``memory_kwargs.depth``.

    :raises ValueError: no such option, a value of a wrong type, or one out of its range
    """
    groups = {*_groups(command.kind), "options"}
    path = name.replace("-", "_").split(".")
    if len(path) > 1 and path[0] in groups:
        path = path[1:]
    known = _types(command.kind) | _task_types(command.target)
    option = path[0]
    if option in OURS or option == "task":
        where = "the command" if option == "task" else "the sweep, which gives each run a folder"
        raise ValueError(f"{name}: {option} is set by {where}: leave it out.")
    if option not in known:
        raise ValueError(
            f"`rl2 {command.kind} {command.target}` has no option {name!r}."
            f"{did_you_mean(option, sorted(known))}"
        )
    named = known[option] == dict[str, Any]
    if named != (len(path) == 2) or len(path) > 2:
        way = "nest each: `parameters: {NAME: ...}`" if named else "it is no group of options"
        raise ValueError(f"{name}: {way}.")
    if named:
        return
    if not _fits(value, known[option]):
        kind = getattr(known[option], "__name__", known[option])
        raise ValueError(f"{name}={value!r} is of a wrong type: it is {kind}.")
    for part in (CONFIGS[command.kind], FolderConfig, *_groups(command.kind).values()):
        check_options(part, {option: value})


def is_of_task(command: Command, name: str) -> bool:
    """Whether a parameter says what the trials are, and not how they are learned."""
    option = name.replace("-", "_").split(".")[-1]
    return option == "episodes" or option in _task_types(command.target)


def _groups(kind: str) -> dict[str, type[Any]]:
    return nested(CONFIGS[kind])


@cache
def _types(kind: str) -> dict[str, Any]:
    """The options of a command with their types."""
    found: dict[str, Any] = {"preset": str}
    for part in (CONFIGS[kind], FolderConfig, *_groups(kind).values()):
        hints = typing.get_type_hints(part)
        names = [each.name for each in dataclasses.fields(part)]
        found |= {name: hints[name] for name in names if name not in _groups(kind)}
    return found


@cache
def _task_types(task: str) -> dict[str, Any]:
    """The options of a task distribution; a Gymnasium id has none."""
    if task not in TASKS:
        return {}
    tasks = TASKS.load(task)
    hints = typing.get_type_hints(tasks)
    return {name: hints.get(name, Any) for name in inspect.signature(tasks).parameters}


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value of YAML can be given to an option of a type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin is typing.Literal:
        return value in inner
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin in (tuple, list):
        return isinstance(value, list) and all(_fits(each, inner[0]) for each in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is float:
        return isinstance(value, (int, float))
    if kind is int:
        return isinstance(value, int)
    return isinstance(value, str) and kind in (str, Path)
