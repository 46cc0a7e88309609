"""The command line, ``rl2``: a module for each command."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module, metadata

from rl2_sb3 import registry
from rl2_sb3.cli.errors import reported
from rl2_sb3.registry import did_you_mean

COMMANDS = {
    "train": "train",
    "imitate": "imitate",
    "evaluate": "evaluate",
    "watch": "watch",
    "tasks": "tasks",
    "new": "new",
    "agents": "agents",
    "export": "export",
    "plot": "plot",
    "sweep": "sweep",
    "baseline": "sweep",
    "info": "info",
}
"""Modules of this package by the command, a function there; each is imported when it is run."""
RENAMED = {"checkpoints": "agents"}
"""Commands' old names, functions beside the new ones."""

HELP = """usage: rl2 COMMAND [OPTIONS]

RL²: learning to reinforcement-learn with a recurrent policy.

  rl2 train TASK      train an agent; TASK is a name that `rl2 tasks` lists, or a Gymnasium id
  rl2 imitate TASK    train an agent to imitate a baseline
  rl2 evaluate RUN    evaluate an agent, and others for comparison, on new tasks
  rl2 watch RUN       write a trial of an agent as an animated GIF or PNG
  rl2 tasks [TASK]    list the task distributions, or check one or a Gymnasium id
  rl2 new PACKAGE     write a plugin with a task distribution, to go on from
  rl2 agents          list the trained agents that are installed
  rl2 export RUN      write an agent as an ONNX model, for use without torch or Python
  rl2 plot RUN ...    draw the learning curves of runs
  rl2 baseline NAME   evaluate a baseline
  rl2 sweep FILE ...  run sweep files in W&B's format, on Optuna
  rl2 info            print versions, processor and plugins, for a bug report
"""
MORE = """`rl2 COMMAND --help` lists its options, `rl2 train TASK --help` those of the task as well.
`rl2 --version` prints the version; `--debug`, with any command, prints tracebacks of errors."""


def main(args: Sequence[str] | None = None) -> None:
    """Run a command; see :func:`~rl2_sb3.cli.errors.reported` for how it may end."""
    words = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in words
    command, *rest = [word for word in words if word != "--debug"] or ["--help"]
    with reported(command, debug):
        _run(command, rest)


def _run(command: str, rest: Sequence[str]) -> None:
    if command in ("-h", "--help"):
        print(_help())
        return
    if command in ("-V", "--version"):
        print(f"rl2-sb3 {metadata.version('rl2-sb3')}")
        return
    modules = COMMANDS | RENAMED
    if command not in modules and command not in registry.COMMANDS:
        known = [*COMMANDS, *registry.COMMANDS.names()]
        missing = registry.COMMANDS.in_checkout(command)
        hint = registry.COMMANDS.hint(command) if missing else did_you_mean(command, known)
        sys.exit(f"{_help()}\n\nrl2: no command {command!r}.{hint}")
    warnings.filterwarnings("ignore", module="stable_baselines3|sb3_contrib")
    warnings.filterwarnings("ignore", message="Could not resolve type parameter")
    if command in modules:
        run = getattr(import_module(f"rl2_sb3.cli.{modules[command]}"), command)
    else:
        run = registry.COMMANDS.load(command)
    run(rest)


def _help() -> str:
    """What there is, the commands that plugins bring with the first lines of their docstrings."""
    lines = []
    for name in registry.COMMANDS.names():
        try:
            words = (inspect.getdoc(registry.COMMANDS.load(name)) or "").partition("\n")[0]
        except RuntimeError as error:  # it hinders no other
            words = str(error)
        lines.append(f"  rl2 {name:<15} {words}\n")
    return f"{HELP}{''.join(lines)}\n{MORE}"
