"""The recurrence in C++, built for this processor when it is first used.

Where it cannot be built, one line on stderr says why, and the recurrence in Python
(:mod:`rl2_sb3.memories.gru`) does the same at a lower speed; with ``RL2_NATIVE=0`` in the
environment it does so without a word. ``torch.compile`` needs that one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch as th
from torch.autograd.function import once_differentiable

from rl2_sb3.memories.native.build import NotBuiltError, build

FP32, BF16, ROUNDED = range(3)
_threads: ContextVar[int] = ContextVar("threads", default=0)


class GRUWeights(NamedTuple):
    """Rows are those of the gates, in the order of ``nn.GRU``: r, z, c."""

    input: th.Tensor
    """``(3 * size, inputs)``"""
    recurrent: th.Tensor
    """``(3 * size, size)``"""
    bias: th.Tensor
    """``(3 * size,)``"""


@contextmanager
def threads(number: int) -> Iterator[None]:
    """A context in which the recurrence takes so many threads; 0 for torch's number of them."""
    token = _threads.set(number)
    try:
        yield
    finally:
        _threads.reset(token)


@cache
def load() -> tuple[Path | None, str]:
    """The library, built if need be and loaded into torch; or ``None``, and why not."""
    if os.environ.get("RL2_NATIVE") == "0":
        return None, "RL2_NATIVE=0"
    try:
        library = build(Path(__file__).with_name("gru.cpp"))
        th.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except (NotBuiltError, OSError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        print(f"rl2-sb3: the recurrence runs in Python, more slowly: {why}", file=sys.stderr)
        return None, why
    return library, ""


def status() -> str:
    """Whether the native recurrence is used, and why not."""
    library, why = load()
    if library is None:
        return f"no ({why})"
    products = "bf16 products" if th.ops.rl2_sb3.has_bf16() else "no bf16 products"
    return f"yes ({th.backends.cpu.get_cpu_capability()}, {products}, {library})"


def serves(x: th.Tensor, h: th.Tensor) -> bool:
    """Whether a block is for the native recurrence: on the processor, in fp32, and not empty."""
    on_cpu = x.device.type == "cpu" and x.dtype == h.dtype == th.float32
    return on_cpu and x.numel() > 0 and h.numel() > 0 and load()[0] is not None


def native_sequence(
    x: th.Tensor,
    h: th.Tensor,
    keep: th.Tensor | None,
    weights: GRUWeights,
    relu: bool,
    precision: int,
) -> th.Tensor:
    """:func:`rl2_sb3.memories.gru.gru_sequence` where :func:`serves` is true.

    :param precision: ``FP32``; ``BF16``; or ``ROUNDED``: bf16 factors multiplied in fp32, which
        stands in where the processor's products take no such sizes or are switched off
    """
    whole_pairs = h.shape[1] % 2 == 0
    if precision == BF16 and not (whole_pairs and th.ops.rl2_sb3.has_bf16()):
        precision = ROUNDED
    block = [None if part is None else part.contiguous() for part in (x, h, keep)]
    parts = [weight.contiguous() for weight in weights]
    if th.is_grad_enabled() and any(part.requires_grad for part in (x, h, *parts)):
        states: th.Tensor = _NativeSequence.apply(*block, *parts, relu, precision)  # type: ignore[no-untyped-call]
        return states
    forward, number = th.ops.rl2_sb3.gru_forward, _threads.get()
    output: th.Tensor = forward(*block, *parts, relu, precision, False, number)[0]
    return output


class _NativeSequence(th.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: th.Tensor, h: th.Tensor, keep: th.Tensor | None, *arguments: Any
    ) -> th.Tensor:
        *parts, relu, precision = arguments
        weights = GRUWeights(*parts)
        output, *saved = th.ops.rl2_sb3.gru_forward(
            x, h, keep, *weights, relu, precision, True, _threads.get()
        )
        ctx.save_for_backward(x, h, keep, weights.input, weights.recurrent, output)
        ctx.saved, ctx.options = saved, (relu, precision)
        states: th.Tensor = output
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: th.Tensor) -> tuple[th.Tensor | None, ...]:
        if ctx.saved is None:
            raise RuntimeError(
                "The native recurrence's backward pass overwrites what forward kept: it runs once. "
                "Run forward again, or set RL2_NATIVE=0."
            )
        saved, ctx.saved = ctx.saved, None
        needs = ctx.needs_input_grad
        grad_x, grad_h, *weights = th.ops.rl2_sb3.gru_backward(
            grad_output.contiguous(),
            *ctx.saved_tensors,
            *saved,
            *ctx.options,
            needs[0],
            _threads.get(),
        )
        return (grad_x if needs[0] else None, grad_h, None, *weights, None, None)
