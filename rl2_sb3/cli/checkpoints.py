"""``rl2 checkpoints``: list the trained agents that are installed."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tyro
from rich.console import Console
from rich.table import Column, Table

from rl2_sb3.agent import describe_agent
from rl2_sb3.registry import CHECKPOINTS, TASKS


@dataclass(kw_only=True)
class Checkpoints:
    """List the trained agents that are installed, by the names that `rl2 evaluate` takes."""


def checkpoints(args: Sequence[str]) -> None:
    """Parse the options and list."""
    tyro.cli(Checkpoints, args=list(args), prog="rl2 checkpoints")
    names = CHECKPOINTS.names()
    if not names:
        print("None are installed; in a checkout, `pip install plugins/rl2-checkpoints` adds some.")
        return
    table = Table(*(Column(name, no_wrap=True) for name in ("checkpoint", "task")))
    for heading in ("episodes", "steps", "learned from", "distribution"):
        table.add_column(heading)
    for name in names:
        table.add_row(name, *_row(name))
    Console().print(table)


def _row(name: str) -> list[str]:
    try:
        info = describe_agent(name)["info"]
        options = _unusual(info.get("task"), info.get("options", {}))
        return [
            f"{info.get('task', '?')} {options}".strip(),
            str(info.get("episodes", "?")),
            f"{info['steps']:,}" if "steps" in info else "?",
            _learned_from(info),
            CHECKPOINTS.distribution(name),
        ]
    except (ValueError, RuntimeError, FileNotFoundError) as error:  # of one plugin, not of all
        return [str(error)]


def _unusual(task: Any, options: dict[str, Any]) -> str:
    """Options of a task that are not what it takes by default."""
    defaults = inspect.signature(TASKS.load(task)).parameters if task in TASKS else {}
    usual = {name: parameter.default for name, parameter in defaults.items()}
    return " ".join(f"{k}={v}" for k, v in options.items() if usual.get(k) != v)


def _learned_from(info: dict[str, Any]) -> str:
    teachers = [run["teacher"] for run in info.get("history", []) if "teacher" in run]
    if teachers:
        return f"{teachers[-1]}, then reward"
    return info.get("teacher") or "reward"
