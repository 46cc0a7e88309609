"""PopArt (van Hasselt et al. 2016): the value network predicts normalised returns.

It learns at the same pace whatever the rewards' size and the trial's length. Where the statistics
move, the head is corrected so that its values, in units of reward, stay as they are.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch import nn

from rl2_sb3 import pooled

Numbers = TypeVar("Numbers", th.Tensor, NDArray[np.floating])


class Statistics(NamedTuple):
    """Mean and standard deviation of returns, in units of reward; a scale of 0: none was seen."""

    scale: float = 0.0
    shift: float = 0.0

    @property
    def seen(self) -> bool:
        """Whether there was a return."""
        return self.scale > 0


def follow(old: Statistics, returns: NDArray[np.floating], rate: float = 0.1) -> Statistics:
    """The statistics after some more returns, of all ranks; the first ones set them.

    :param rate: weight of the new returns
    :raises ValueError: returns that are not finite
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = map(float, pooled.mean_and_deviation(returns))
    if not np.isfinite([mean, std]).all():  # the squares of large ones are not, in float32
        mean, std = map(float, pooled.mean_and_deviation(returns, np.float64))
    if not np.isfinite([mean, std]).all():
        raise ValueError(
            "Returns are not finite: rewards are too large to be added up. Nothing was learned "
            "from them, and the last checkpoint is as it was. Scale the rewards."
        )
    std = max(std, 1e-6 * abs(mean), 1e-8)
    if not old.seen:
        return Statistics(std, mean)
    return Statistics(
        old.scale + rate * (std - old.scale),
        old.shift + rate * (mean - old.shift),
    )


def normalise(returns: Numbers, statistics: Statistics) -> Numbers:
    """Returns, from units of reward into the network's."""
    return (returns - statistics.shift) / statistics.scale


def unnormalise(values: Numbers, statistics: Statistics) -> Numbers:
    """Values, from the network's units into those of reward; 0 before a return was seen."""
    return values * statistics.scale + statistics.shift


@th.no_grad()
def correct_head(head: nn.Linear, old: Statistics, new: Statistics) -> None:
    """Change a head's parameters so that its unnormalised values stay as they are."""
    norms = getattr(head, "parametrizations", None)  # weight_norm: the lengths are the scale
    weight = norms.weight.original0 if norms is not None else head.weight
    weight.mul_(old.scale / new.scale)
    head.bias.mul_(old.scale / new.scale).add_((old.shift - new.shift) / new.scale)
