"""What a run loses when it is ended: nothing but the rollout in progress."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rl2_sb3 import ranks
from rl2_sb3.algorithms.shared import SharedTraining
from rl2_sb3.trials.callback import EveryRank

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 1.0
"""Seconds: who ends a whole group of processes may reach a worker before us."""
TWICE = 10.0
"""Seconds: who ends a group of ranks and their launcher reaches a rank twice."""
FAILED = 1000
"""Says to the other ranks that this one has an error; greater than the numbers of signals."""


class Stopped(KeyboardInterrupt):
    """A signal ended a run.

    :param number: the signal's
    """

    def __init__(self, number: int):
        super().__init__(f"Stopped by {signal.Signals(number).name}")
        self.number = number


class Keeper(EveryRank):
    """Saves the model before a rollout whenever so many seconds have passed, and at a run's end.

    While it listens, SIGINT, SIGTERM and SIGHUP end the run by :class:`Stopped`: at once while a
    rollout is collected, else after the update in progress. A second signal ends the process. A
    signal that was ignored before stays so (``nohup``).

    Of several ranks, all end where one was told to: after its rollout in progress, which is lost,
    or after the update. The first writes, with the states of the others.

    :param model: what is saved
    :param path: of the checkpoint
    :param seconds: between two
    """

    def __init__(self, model: SharedTraining, path: Path, seconds: float):
        super().__init__()
        self.model = model
        self.path = path
        self.seconds = seconds
        self.signal: int | None = None
        """The one that came, if any."""
        self.saved = False
        """Whether the checkpoint holds all that was learned before the rollout in progress."""
        self._last = -math.inf  # the first is written after the first rollout
        self._heard = -math.inf
        self._agreed = False  # that all ranks stop here
        self._collecting = False  # nothing has changed since the mark but what it holds
        self._mark: dict[str, Any] | None = None
        self._trials: list[Any] | None = None  # since the last rollout, wherein no worker may die

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take signals; outside of the main thread, where Python has none, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        heard = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
        before = {each: signal.signal(each, self._hear) for each in heard}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _hear(self, number: int, _: Any) -> None:
        if self.signal is not None and ranks.size() > 1 and time.monotonic() - self._heard < TWICE:
            return
        if self.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.signal, self._heard = number, time.monotonic()
        self._heed()

    def _heed(self) -> None:
        if self.signal is not None and self._collecting and ranks.size() == 1:
            raise Stopped(self.signal)

    def _on_training_start(self) -> None:
        self._begin = self.model.num_timesteps
        self._trials = None

    def _on_rollout_start(self) -> None:
        self._collecting = False
        model: Any = self.model
        self._mark = model.mark(self._trials)
        due = ranks.is_first() and time.monotonic() - self._last >= self.seconds
        heard, save = ranks.greatest(self.signal or 0, due)
        if save and model.num_timesteps > self._begin:
            self._save()
            self._last = time.monotonic()
        self._collecting = True
        self._heed()
        if ranks.size() > 1 and heard:
            self._agreed = True
            raise Stopped(heard)

    def _on_step(self) -> bool:
        model: Any = self.model
        self._collecting = not model.rollout_buffer.full
        self._heed()
        # Of several ranks, the algorithm lets all stop where one does.
        return not self._collecting or self.signal is None

    def _on_rollout_end(self) -> None:
        self._collecting = False
        model: Any = self.model
        self._trials = model.env.env_method("get_state")

    def _save(self) -> None:
        """Write the checkpoint.

        :raises ValueError: learning has diverged: the checkpoint of before stays
        """
        model: Any = self.model
        model.save_marked(self.path, self._mark)

    def conclude(self, failed: bool = False) -> None:
        """See why the ranks stopped in a rollout, where they did; all of them ask.

        :param failed: this one had an error, which it will tell
        :raises Stopped: a signal ended a rank
        :raises EchoError: an error ended another rank
        """
        model: Any = self.model
        if ranks.size() == 1 or not model.stopped or self._agreed:
            return
        (why,) = ranks.greatest(self.signal or (FAILED if failed else 0))
        if why == 0:  # a callback has had enough
            return
        self._agreed = self._collecting = True
        if not failed:
            raise ranks.EchoError("Another rank has failed.") if why == FAILED else Stopped(why)

    def finish(self) -> None:
        """Save the model after its last update.

        :raises ValueError: learning has diverged: the checkpoint of before stays
        """
        model: Any = self.model
        self._mark = model.mark(self._trials)
        self._save()

    def rescue(self) -> None:
        """After an error or a signal, save what there was before the rollout in progress.

        :raises ValueError: learning has diverged: the checkpoint of before stays
        """
        if not self._collecting or self._mark is None or (ranks.size() > 1 and not self._agreed):
            return
        self._collecting = False
        if self._mark["num_timesteps"] > self._begin:
            self._save()
        self.saved = self.path.exists()

    def way_on(self) -> str:
        """How to go on after an error or a signal, in words."""
        if not self.path.exists():
            return "Before the first checkpoint: nothing is saved."
        which = "" if self.saved else "the last checkpoint, "
        return f"Add --resume to go on from {which}{self.path}."

    def wait_for_signal(self) -> bool:
        """Whether a signal came, or comes in a moment."""
        end = time.monotonic() + GRACE
        while self.signal is None and time.monotonic() < end:
            time.sleep(0.01)
        return self.signal is not None
