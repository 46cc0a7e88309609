"""``rl2 tasks``: list the task distributions, or check one against the contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.table import Table

from rl2_sb3.cli.imitate import Imitate
from rl2_sb3.cli.options import check_names
from rl2_sb3.cli.screen import show
from rl2_sb3.cli.train import Train
from rl2_sb3.registry import TASKS
from rl2_sb3.testing import check_tasks
from rl2_sb3.trials.make import make_tasks


@dataclass(kw_only=True)
class Tasks:
    """List the task distributions that are installed, or check one against the contract.

    `rl2 train` and `rl2 tasks` take the id of any Gymnasium environment as well, such as
    CartPole-v1 or module:Env-v0, where the seed is the task.
    """

    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")] = None
    """Task distribution, or Gymnasium environment, to check with its default options."""


def tasks(args: Sequence[str]) -> None:
    """Parse the options; list or check."""
    name = tyro.cli(Tasks, args=list(args), prog="rl2 tasks").name
    if name is None:
        table = Table("task", "distribution")
        for known in TASKS.names():
            table.add_row(known, TASKS.distribution(known))
        show(table)
        return
    distribution = make_tasks(name)
    try:
        check_tasks(distribution)
    except (AssertionError, TypeError) as error:
        raise ValueError(f"{name} breaks the contract: {error}") from error
    if name not in TASKS:
        print(f"{name} can be trained on: its seed is the task, which each trial draws.")
        return
    for command in (Train, Imitate):
        check_names(command, name)
    print(f"{name} ({TASKS.distribution(name)}) keeps the contract.")
    if dataclasses.is_dataclass(distribution):
        print("Options, with their defaults:")
        for option in dataclasses.fields(distribution):
            print(f"  --{option.name.replace('_', '-')} {getattr(distribution, option.name)}")
