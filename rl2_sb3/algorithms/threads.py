"""How many processor threads torch takes to learn, by the network's size where nothing is said.

Each product of a small network is over before more threads have begun, and where other programs
keep the cores busy, OpenMP's threads wait for each other in loops that take what time there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch as th
from torch import nn

from rl2_sb3.policies import GRUPolicy
from rl2_sb3.trials.threads import processors

LARGE = 256
"""Units from which on more threads pay."""
COLUMNS = 32
"""Columns of a minibatch that give one thread enough to do."""
MOST = 8
"""Threads that are taken without being asked for."""


def threads_for(units: int, columns: int, convolutions: bool = False) -> int:
    """One thread for small networks and minibatches; for large ones as many as pay, at most 8.

    :param units: of the widest layer; 256 are many
    :param columns: of a minibatch
    :param convolutions: they are large, whatever the rest
    """
    most = min(processors(), MOST)
    if convolutions:
        return most
    return max(1, min(most, columns // COLUMNS)) if units >= LARGE else 1


def sensible_threads(policy: GRUPolicy, columns: int) -> int:
    """:func:`threads_for` the policy's network: its GRU, dense layers and convolutions."""
    network = policy.network
    layers = network["hidden_size"], *network["layers_before"], *network["layers_after"]
    convolutions = any(isinstance(module, nn.Conv2d) for module in policy.modules())
    return threads_for(max(layers), columns, convolutions)


def check_threads(threads: int | None) -> None:
    """Refuse what is no number of threads.

    :raises ValueError: neither None nor a whole number from 1 on
    """
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ValueError(
            f"threads={threads!r}: use 1 or more, or None to choose by the network's size."
        )


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """A context in which torch takes so many processor threads; then again as many as before."""
    before = th.get_num_threads()
    th.set_num_threads(threads)
    try:
        yield
    finally:
        th.set_num_threads(before)
