"""What a policy carries from step to step, and where each part stands in one flat tensor."""

from __future__ import annotations

from typing import NamedTuple

import torch as th


class States(NamedTuple):
    """The parts of a policy's memory, axis 0 the column."""

    policy: th.Tensor
    """State of the policy's memory; with ``shared``, of the only one."""
    value: th.Tensor
    """State of the value network's memory."""
    observation: th.Tensor
    """The last observation, where the policy keeps it."""

    def join(self, out: th.Tensor | None = None) -> th.Tensor:
        """The flat tensor, ``(columns, layout.size)``, written to ``out`` where that is given."""
        return th.cat(self, dim=1, out=out)


class StateLayout(NamedTuple):
    """How many numbers each part of :class:`States` has."""

    policy: int
    value: int = 0
    observation: int = 0

    @property
    def size(self) -> int:
        """Numbers in all."""
        return sum(self)

    def split(self, flat: th.Tensor) -> States:
        """The parts, as views of the flat tensor ``(columns, size)``."""
        return States(*th.split(flat, list(self), dim=1))
