"""Ranks of a run, begun as a launcher does, in forks of this process."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch as th

from rl2_sb3.cli import main

LIMIT = 300.0
"""Seconds after which a rank is taken to hang."""


class Ended(NamedTuple):
    """How a rank ended."""

    status: int
    """Minus a signal's number, where one ended it."""
    said: str


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def launch(does: Sequence[Callable[[], None]]) -> list[Ended]:
    """Begin a rank for each function, and wait for all.

    :param does: what it does; ``SystemExit`` tells its status
    :raises TimeoutError: one hangs; all are killed
    """
    port = free_port()
    logs = [Path(f"rank-{rank}.txt") for rank in range(len(does))]
    processes = [
        _begin(do, {"RANK": str(rank), "WORLD_SIZE": str(len(does)), "MASTER_PORT": str(port)}, log)
        for rank, (do, log) in enumerate(zip(does, logs, strict=True))
    ]
    statuses = [_wait(process, processes) for process in processes]
    return [Ended(status, log.read_text()) for status, log in zip(statuses, logs, strict=True)]


def commands(words: Sequence[str], ranks: int = 2) -> list[Callable[[], None]]:
    """The same command of ``rl2`` on each rank."""
    return [lambda: main(words) for _ in range(ranks)]


def _begin(do: Callable[[], None], variables: dict[str, str], log: Path) -> int:
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.environ |= {**variables, "MASTER_ADDR": "127.0.0.1", "LOCAL_RANK": variables["RANK"]}
        sys.stdout = sys.stderr = log.open("w", buffering=1)
        th.set_num_threads(1)
        do()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
        print("" if isinstance(error.code, int) else f"{error.code}\n", end="")
    except BaseException as error:
        print(f"{type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        os._exit(status)


def _wait(process: int, all_of_them: Sequence[int]) -> int:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    for each in all_of_them:
        os.kill(each, 9)
    raise TimeoutError(f"A rank hangs: {[path.read_text() for path in Path.cwd().glob('rank-*')]}")
