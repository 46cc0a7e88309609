"""How many processor threads learning takes, by the network's size where nothing is said.

Most of torch's operations here are over before more threads have begun, and where other programs
keep the cores busy, OpenMP's threads wait for each other in loops that take what time there is. So
without being asked, torch itself takes more than one for convolutions alone; and the native
recurrence, whose threads meet a few times in a minibatch, where there is enough to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch as th
from torch import nn

from rl2_sb3.memories import native
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.trials.threads import processors

LARGE = 256
"""Units from which on more threads pay."""
COLUMNS = 32
"""Columns of a minibatch that give one thread enough to do."""
MOST = 8
"""Threads that are taken without being asked for."""


class Threads(NamedTuple):
    """Of torch, and of the native recurrence."""

    torch: int
    recurrence: int


def threads_for(units: int, columns: int, convolutions: bool = False) -> Threads:
    """What pays, at most 8, and at most what torch is set to.

    :param units: of the memory; 256 are many
    :param columns: of a minibatch
    """
    most = min(processors(), MOST, th.get_num_threads())
    enough = max(1, min(most, columns // COLUMNS)) if units >= LARGE else 1
    return Threads(most, most) if convolutions else Threads(1, enough)


def sensible_threads(policy: GRUPolicy, columns: int, told: int | None = None) -> Threads:
    """:func:`threads_for` the policy's network, or so many as were told, where they pay at all."""
    convolutions = any(isinstance(module, nn.Conv2d) for module in policy.modules())
    if told is not None:
        return Threads(told if convolutions else 1, told)
    return threads_for(policy.config.hidden_size, columns, convolutions)


def check_threads(threads: int | None) -> None:
    """Refuse what is no number of threads.

    :raises ValueError: neither None nor a whole number from 1 on
    """
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ValueError(
            f"threads={threads!r}: use 1 or more, or None to choose by the network's size."
        )


@contextmanager
def take_threads(threads: Threads) -> Iterator[None]:
    """A context in which torch and the recurrence take so many; then as many as before."""
    before = th.get_num_threads()
    th.set_num_threads(threads.torch)
    try:
        with native.threads(threads.recurrence):
            yield
    finally:
        th.set_num_threads(before)
