"""Processes that share the work of sweeps, or this one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any

from rl2_sb3.processes import follow_parent

DEATHS = 10
"""Of processes in one sweep, at the most."""
EVERY = 0.5
"""Seconds between two looks at what is done."""

_ending: Any = None  # of this process: the event that asks it to come to an end


class Workers:
    """So many processes, or, for one, none but this.

    :param count: how many
    """

    def __init__(self, count: int):
        self.count = count
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self.pool is not None:
            if error is not None:
                self.end.set()
            self.pool.shutdown(cancel_futures=error is not None)

    def _begin(self) -> None:
        if self.count > 1:
            context = multiprocessing.get_context("spawn")
            self.end = context.Event()
            self.pool = ProcessPoolExecutor(
                self.count, mp_context=context, initializer=_follow, initargs=(self.end,)
            )

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Call a function in one of them."""
        if self.pool is not None:
            return self.pool.submit(function, *args)
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def all(
        self,
        function: Callable[..., None],
        *args: Any,
        look: Callable[[], None],
        died: Callable[[], None],
    ) -> None:
        """Call a function in each, until it has returned in all.

        Where a process dies, all begin anew: the function goes on with what is left.

        :param look: called every now and then
        :param died: called where a process has died
        :raises BrokenProcessPool: they die again and again
        """
        for death in range(DEATHS):
            try:
                running = {self.submit(function, *args) for _ in range(self.count)}
                while running:
                    done, running = wait(running, EVERY, FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    look()
                return
            except BrokenProcessPool:
                if death == DEATHS - 1:
                    raise
                self._begin()
                died()


def ending() -> bool:
    """In a worker: whether it is asked to come to an end."""
    return _ending is not None and bool(_ending.is_set())


def _follow(end: Any) -> None:
    global _ending
    _ending = end
    follow_parent()
