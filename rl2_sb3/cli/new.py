"""``rl2 new``: write a plugin with a task distribution, to go on from."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import tyro

from rl2_sb3.registry import TASKS

SHAPE = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
RESERVED = ("rl2", "setup", "conftest")
"""Modules that mean something else to Python's tools, or to users of this package."""
BASES = ("BatchedTasks", "GymTasks")


@dataclass(kw_only=True)
class New:
    """Write a plugin with a task distribution: pyproject.toml, the class, its test, a README.

    It works as it is: install it, run its test, train on it. Then put your tasks in the place of
    its own.
    """

    package: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PACKAGE")]
    """Name of the plugin's distribution and folder, such as rl2-corridor; its task is then called
    corridor, its module rl2_corridor."""
    kind: Literal["batched", "gymnasium"] = "batched"
    """Tasks as arrays, which is fast, or a Gymnasium environment, which may be anything."""


class Names(NamedTuple):
    """What the parts of a plugin are called."""

    distribution: str
    module: str
    task: str
    tasks: str
    """The class."""


def new(args: Sequence[str]) -> None:
    """Parse the options and write."""
    config = tyro.cli(New, args=list(args), prog="rl2 new")
    names = plugin_names(config.package)
    folder = Path(names.distribution)
    if folder.exists() or folder.is_symlink():
        raise ValueError(f"{folder} exists already: move it away, or choose another name.")
    write_plugin(folder, names, config.kind)
    print(
        f"{folder} is a plugin with the task distribution {names.task}. Next:\n"
        f"  pip install -e {folder} pytest\n"
        f"  python -m pytest {folder}\n"
        f"  rl2 tasks {names.task}\n"
        f"  rl2 train {names.task} --episodes 3 --steps 300_000 --out runs/{names.task}\n"
        f"Then edit {folder / names.module}.py; docs/plugins.md describes the contract."
    )


def plugin_names(package: str) -> Names:
    """Names of a plugin's parts, after that of its distribution.

    :raises ValueError: no name of a package, or one that is taken
    """
    if not SHAPE.fullmatch(package):
        raise ValueError(
            f"{package!r} is no package's name: use lower-case letters, digits and hyphens, and "
            "begin with a letter, as in rl2-corridor."
        )
    module = package.replace("-", "_")
    task = re.sub("^rl2-(?=[a-z])", "", module.replace("_", "-"))
    camel = "".join(word.capitalize() for word in task.split("-"))
    tasks = camel if camel.endswith("Tasks") else f"{camel}Tasks"
    if module in RESERVED or module in sys.stdlib_module_names or keyword.iskeyword(module):
        raise ValueError(f"{package} is a reserved name in Python: try rl2-{task}-tasks.")
    if tasks in BASES:
        raise ValueError(
            f"The class of {package} would be called {tasks}, as its base class is: "
            "choose another name."
        )
    if task in TASKS:
        raise ValueError(
            f"{package}'s task would be called {task!r}, as one of {TASKS.distribution(task)} is: "
            "choose another name."
        )
    if find_spec(module) is not None:
        raise ValueError(f"A module {module} is installed already: choose another name.")
    return Names(package, module, task, tasks)


def write_plugin(folder: Path, names: Names, kind: str) -> None:
    """Write the files of a new plugin into a new folder.

    :param kind: whose templates are taken: batched or gymnasium
    """
    folder.mkdir(parents=True)
    words = {
        "my-plugin": names.distribution,
        "my_plugin": names.module,
        "my-tasks": names.task,
        "MyTasks": names.tasks,
    }
    for template in files("rl2_sb3").joinpath("templates", kind).iterdir():
        if not template.is_file():
            continue  # Python's cache
        text, name = (
            re.sub("|".join(words), lambda found: words[found[0]], each)
            for each in (template.read_text(encoding="utf-8"), template.name)
        )
        (folder / name).write_text(text, encoding="utf-8")
