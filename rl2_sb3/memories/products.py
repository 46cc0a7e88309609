"""Products in fp32 or bf16; what they are products of keeps its own type."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch as th

from rl2_sb3.config import Precision


@cache
def has_bf16(device: th.device) -> bool:
    """Whether the device multiplies bf16 numbers in hardware."""
    if device.type == "cuda":
        return bool(th.cuda.is_bf16_supported(including_emulation=False))
    supported = (
        getattr(th.cpu, "_is_avx512_bf16_supported", bool)()
        or getattr(th.cpu, "_is_amx_tile_supported", bool)()
    )
    if not supported:
        warnings.warn(
            "This CPU has no bf16 arithmetic: factors are rounded to bf16 and multiplied in fp32. "
            "The numbers are those of bf16, the speed is that of fp32.",
            stacklevel=2,
        )
    return bool(supported)


def dense_products(device: th.device, precision: Precision) -> AbstractContextManager[Any]:
    """A context in which dense layers and convolutions multiply in bf16, where the device can."""
    if precision == "bf16" and has_bf16(device):
        return th.autocast(device.type, th.bfloat16)
    return nullcontext()


class Multiply:
    """Products in one precision; factors are fp32 (or fp64), and so are results."""

    def __init__(self, precision: Precision, device: th.device):
        self.bf16 = precision == "bf16"
        self.native = self.bf16 and has_bf16(device)

    def cast(self, factor: th.Tensor) -> th.Tensor:
        """Prepare a factor that serves in many products."""
        if not self.bf16:
            return factor
        rounded = factor.bfloat16()
        return rounded if self.native else rounded.to(factor.dtype)

    def __call__(self, left: th.Tensor, cast_right: th.Tensor) -> th.Tensor:
        """``left @ right``."""
        return th.mm(self.cast(left), cast_right).to(left.dtype)

    def into(self, out: th.Tensor, left: th.Tensor, cast_right: th.Tensor) -> None:
        """``out = left @ right``, in place."""
        if self.native:
            out.copy_(th.mm(left, cast_right))
        else:
            th.mm(left, cast_right, out=out)

    def add_to(self, total: th.Tensor, left: th.Tensor, cast_right: th.Tensor) -> None:
        """``total += left @ right``, in place."""
        if self.native:
            total += th.mm(left, cast_right)
        else:
            total.addmm_(left, cast_right)
