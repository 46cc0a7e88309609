"""How a command ends: what a user can mend is one line, a user's own error keeps its traceback."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal

Whose = Literal["ours", "refusal", "user"]
LIBRARIES = (
    *("torch", "numpy", "scipy", "gymnasium", "stable_baselines3", "sb3_contrib", "optuna"),
    *("tyro", "rich", "tqdm", "yaml", "safetensors", "matplotlib", "tensorboard", "sqlalchemy"),
)
"""Packages that pass an error on, but have not made it: whoever called them has."""
MENDED = (ValueError, RuntimeError, OSError, MemoryError)
"""What we raise where a user can do something about it; another error of ours is a fault."""
PLAYING = ("trials", "tasks", "testing", "baselines", "memories", "policies", "evaluation.py")
"""Parts of ours that call the code of users; what the others call are libraries."""
COMMANDS = "cli"
"""What calls the commands of plugins."""
CHECKER = "passive_env_checker.py"
"""Gymnasium's, around an environment that is made by its id."""
MISSING = "DependencyNotInstalled"
"""Gymnasium's error where an environment needs a package, which its message says how to install."""
CONSTRUCTORS = ("__init__", "__post_init__", "for_tasks")
OURS = Path(__file__).parents[1]
STANDARD = Path(sysconfig.get_paths()["stdlib"])
INSTALLED = [Path(sysconfig.get_paths()[name]) for name in ("purelib", "platlib")]


@contextmanager
def reported(command: str, debug: bool = False) -> Iterator[None]:
    """Let a command end as users expect it.

    An error that a user can mend is one line, and so is a fault of ours, with where it happened; an
    error of a user's own code, a task's or a plugin's, keeps its traceback, from that code on. The
    status is 1; 128 and the signal's number where one ended a run; 141 where the reader of a pipe
    has gone.

    :param debug: show all errors as Python does
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if debug:
            raise
        # Python flushes once more at its end, where there is nobody to read.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt as error:
        sys.exit(128 + getattr(error, "number", 2))
    except Exception as error:
        if getattr(error, "told", False):  # by another of the processes that train together
            sys.exit(1)
        if debug:
            raise
        sys.exit(f"rl2 {command}: {words(error)}")


def words(error: Exception) -> str:
    """What to print of an error."""
    if type(error).__name__ == MISSING:
        return f"the environment needs a package: {error}"
    whose, beginning = origin(error)
    if whose == "user":
        told = traceback.format_exception(type(error), error, beginning, chain=False)
        return f"the task's or plugin's own code raised an error.\n{''.join(told).rstrip()}"
    if isinstance(error, OSError) and error.strerror:
        file = "" if error.filename is None else f"{error.filename}: "
        return f"{file}{error.strerror}."
    if isinstance(error, MENDED) or whose == "refusal":
        return str(error) or type(error).__name__
    last = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, AssertionError) and Path(last.filename).name == CHECKER:
        return f"the environment breaks Gymnasium's contract: {error}"
    return (
        f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno}). This is a fault "
        "of rl2-sb3: the same command with --debug shows all that a report needs."
    )


def origin(error: Exception) -> tuple[Whose, TracebackType | None]:
    """Whose an error is, and of a user's where the traceback enters the user's code.

    The last one who is no library has raised it. In whosever code it stands, a ValueError out of a
    constructor refuses an option, and a command's own errors are for its user.
    """
    trace, maker, entry, caller = error.__traceback__, None, None, COMMANDS
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if OURS in file.parents:
            maker, entry, caller = trace, None, file.relative_to(OURS).parts[0]
        elif caller in (*PLAYING, COMMANDS) and not _is_library(file):
            maker, entry = trace, entry or trace
        trace = trace.tb_next
    if entry is None or maker is None:
        return "ours", None
    function = maker.tb_frame.f_code.co_name
    refused = isinstance(error, ValueError) and function in CONSTRUCTORS
    if refused or (isinstance(error, MENDED) and caller == COMMANDS):
        return "refusal", None
    return "user", entry


def _is_library(file: Path) -> bool:
    for folder in INSTALLED:
        if folder in file.parents:
            return file.relative_to(folder).parts[0].removesuffix(".py") in LIBRARIES
    return STANDARD in file.parents or str(file).startswith("<")
