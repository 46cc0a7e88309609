"""``rl2 checkpoints``: list the trained agents that are installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tyro
from rich.console import Console
from rich.table import Table

from rl2_sb3.agent import describe_agent
from rl2_sb3.registry import CHECKPOINTS


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
    table = Table("checkpoint", "task", "episodes", "steps trained", "teacher", "distribution")
    for name in names:
        table.add_row(name, *_row(name))
    Console().print(table)


def _row(name: str) -> list[str]:
    try:
        info = describe_agent(name)["info"]
        options = " ".join(f"{key}={value}" for key, value in info.get("options", {}).items())
        return [
            f"{info.get('task', '?')} {options}".strip(),
            str(info.get("episodes", "?")),
            f"{info['steps']:,}" if "steps" in info else "?",
            info.get("teacher") or (f"from {info['init']}" if info.get("init") else ""),
            CHECKPOINTS.distribution(name),
        ]
    except (ValueError, RuntimeError, FileNotFoundError) as error:  # of one plugin, not of all
        return [str(error)]
