"""What a run tells while it goes on: what it is, and plain lines where there is no terminal."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from rl2_sb3 import ranks
from rl2_sb3.options import flat_defaults
from rl2_sb3.runs.keeping import Keeper, Stopped

FIRST, MOST = 5.0, 60.0
"""Seconds between two lines, at the beginning and at most."""
ALWAYS = ("task", "options", "episodes", "steps", "batches", "algorithm", "teacher", "seed")


def say(text: str) -> None:
    """Print at once; whoever read it may have gone (``| head``), or its disk be full."""
    try:
        print(text, flush=True)
    except OSError:
        return


def now() -> str:
    """The time of day, with the date: a run may take days."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


def introduce(out: Path, told: Mapping[str, Any], kind: type[Any], steps: int) -> None:
    """Say which run this is: its folder, process and settings.

    :param told: all options, by name
    :param kind: the configuration that has their defaults, which are not told
    :param steps: that it has done before
    """
    resumed = f", resumed after {steps:,} steps" if steps else ""
    shared = f", the first of {ranks.size()} ranks" if ranks.size() > 1 else ""
    say(f"{now()} {out}: begun on {platform.node()}, process {os.getpid()}{shared}{resumed}")
    usual = flat_defaults(kind)
    shown = {
        name: value
        for name, value in told.items()
        if name in ALWAYS or (name in usual and value != _plain(usual[name]))
    }
    settings = ", ".join(f"{name}={value}" for name, value in shown.items())
    say(f"Settings: {settings}; all of them in {out / 'config.json'}")


def tell_resumed(out: Path, steps: int, total: int) -> None:
    """Say so where there is no run to resume, or nothing left of it.

    :param steps: that the run has done before
    :param total: how many it is to do
    """
    if steps == 0:
        say(f"Nothing to resume in {out}: begun anew.")
    elif steps >= total:
        say(f"{out} is trained already, for {steps:,} steps.")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@contextmanager
def last_line(keeper: Keeper, lines: bool) -> Iterator[None]:
    """Let the log of a run say how it ended, whose reader may not see the errors.

    :param lines: whether it has one
    """
    try:
        yield
    except BaseException as error:
        if lines:
            words = str(error).partition("\n")[0].rstrip(".")
            how = (
                words if isinstance(error, Stopped) else f"Ended by {type(error).__name__}: {words}"
            )
            way_on = f" {keeper.way_on()}" if keeper.path.exists() else ""  # else on stderr alone
            say(f"{now()} {how}.{way_on}")
        raise


class Lines(BaseCallback):
    """A line every now and then: steps, what is reached, steps per second, time left.

    :param total: steps of the run
    :param reached: what has been reached, in words
    """

    def __init__(self, total: int, reached: Callable[[], str]):
        super().__init__()
        self.total, self.reached = total, reached

    def _on_training_start(self) -> None:
        self._begin, self._first = time.monotonic(), self.model.num_timesteps
        self._next = self._begin

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        clock, steps = time.monotonic(), self.model.num_timesteps
        if clock < self._next or steps == self._first:
            return
        rate = (steps - self._first) / max(clock - self._begin, 1e-9)
        self._next = clock + min(MOST, max(FIRST, (clock - self._begin) / 10))
        left = timedelta(seconds=round(max(0, self.total - steps) / rate))
        share = f"{steps:,} of {self.total:,} steps ({steps / self.total:.0%})"
        say(f"{now()} {share}, {self.reached()}, {rate:,.0f} steps/s, {left} left")
