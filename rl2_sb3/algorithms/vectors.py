"""Parameters as one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch as th
from torch import nn


def assign(parameters: list[nn.Parameter], vector: th.Tensor) -> None:
    """Write a vector into the parameters' own memory, where torch's function makes views of it."""
    parts = th.split(vector, [parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.data.copy_(part.view_as(parameter))


def flat(tensors: Sequence[th.Tensor]) -> th.Tensor:
    """One vector, a copy, whatever the tensors' layouts in memory are."""
    return th.cat([tensor.reshape(-1) for tensor in tensors])
