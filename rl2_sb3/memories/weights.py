"""The parameters of a GRU, for the recurrence in Python and in C++."""

from __future__ import annotations

from typing import NamedTuple

import torch as th


class GRUWeights(NamedTuple):
    """Rows are those of the gates, in the order of ``nn.GRU``: r, z, c."""

    input: th.Tensor
    """``(3 * size, inputs)``"""
    recurrent: th.Tensor
    """``(3 * size, size)``"""
    bias: th.Tensor
    """``(3 * size,)``"""
