"""A memory without parameters: sums of the inputs since the trial's start."""

from __future__ import annotations

from typing import ClassVar

import torch as th

from rl2_sb3.memories.base import Memory


class Sums(Memory):
    """The inputs and their sums since the trial's start.

    Where sums tell most of what a trial has shown (how often each arm was pulled, what it paid), a
    value network learns sooner than one that has to learn to count, at a fraction of the cost.

    :param inputs: number of input features
    :param size: of no effect: there are as many sums as inputs
    """

    fixed: ClassVar[bool] = True

    def __init__(self, inputs: int, size: int = 0):
        super().__init__()
        self.state_size, self.output_size = inputs, 2 * inputs

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block, see :class:`Memory`.

        :return: inputs, and sums on a logarithmic scale: ``(steps, columns, 2 * inputs)``; and the
            last sums
        """
        totals = running_sums(x, state, keep)
        return th.cat([x, logarithms(totals)], dim=2), totals[-1]


def running_sums(x: th.Tensor, state: th.Tensor, keep: th.Tensor | None) -> th.Tensor:
    """The sums after each step, ``(steps, columns, inputs)``; the arguments are a memory's."""
    if keep is None:
        return state + x.cumsum(dim=0)
    steps = []
    for step, kept in zip(x, keep, strict=True):
        state = state * kept + step
        steps.append(state)
    return th.stack(steps)


def logarithms(sums: th.Tensor) -> th.Tensor:
    """Sums on a logarithmic scale, with their signs."""
    return sums.sign() * sums.abs().log1p()
