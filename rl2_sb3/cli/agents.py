"""``rl2 agents``: list the trained agents that are installed."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tyro
from rich.table import Table

from rl2_sb3.agent_file import describe_agent
from rl2_sb3.cli.screen import show
from rl2_sb3.registry import AGENTS, HOW_TO_INSTALL, TASKS
from rl2_sb3.signals import learned_from

LONGEST = 24
"""Letters of a task on one line; of a longer one each option has a line."""


@dataclass(kw_only=True)
class Agents:
    """List the trained agents that are installed, by the names that `rl2 evaluate` takes.

    The column "learned from" has "reward" for RL on what the agent itself observes, "reward,
    privileged" for RL with privileged information in training, such as expected rewards, and a
    baseline's name for imitation of that baseline.
    """


def agents(args: Sequence[str]) -> None:
    """Parse the options and list."""
    tyro.cli(Agents, args=list(args), prog="rl2 agents")
    names = AGENTS.names()
    if not names:
        print(f"None are installed. In a checkout, `{HOW_TO_INSTALL}` adds some.")
    tables: dict[str, Table] = {}
    broken = []
    for name in names:
        try:
            row, distribution = _row(name), AGENTS.distribution(name)
        except (ValueError, RuntimeError, FileNotFoundError) as error:  # of one plugin, not of all
            broken.append(f"{name}: {error}")
            continue
        tables.setdefault(distribution, _table(distribution)).add_row(name, *row)
    for table in tables.values():
        show(table, wrapped=True)
    if broken:
        print("\n".join(broken))


def checkpoints(args: Sequence[str]) -> None:
    """The command's old name."""
    print("`rl2 checkpoints` is `rl2 agents` now: a checkpoint is what --resume takes.")
    agents(args)


def _table(distribution: str) -> Table:
    """For the agents of a distribution; as narrow as a terminal is."""
    table = Table(title=distribution, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("agent", "task"):
        table.add_column(heading, no_wrap=True)
    for heading in ("episodes", "steps"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("learned from")
    return table


def _row(name: str) -> list[str]:
    info = describe_agent(name)["info"]
    options = _unusual(info.get("task"), info.get("options", {}))
    task = f"{info.get('task', '?')} {options}".strip()
    return [
        task if len(task) <= LONGEST else task.replace(" ", "\n"),
        str(info.get("episodes", "?")),
        f"{info['steps']:,}" if "steps" in info else "?",
        learned_from(info),
    ]


def _unusual(task: Any, options: dict[str, Any]) -> str:
    """Options of a task that are not what it takes by default, where that is known."""
    if task not in TASKS:
        return ""
    defaults = inspect.signature(TASKS.load(task)).parameters
    usual = {name: parameter.default for name, parameter in defaults.items()}
    return " ".join(f"{k}={v}" for k, v in options.items() if usual.get(k) != v)
