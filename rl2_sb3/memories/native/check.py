"""What a library must do before it is used."""

from __future__ import annotations

import itertools
from typing import Any

import torch as th

from rl2_sb3.memories.gru import python_sequence
from rl2_sb3.memories.native import BF16, FP32, ROUNDED, GRUWeights


def check(library: str) -> None:
    """Load a library and compare small blocks with the recurrence in Python.

    :raises RuntimeError: other numbers
    """
    th.ops.load_library(library)  # type: ignore[no-untyped-call]
    precisions = {FP32: 1e-5, ROUNDED: 0.05}
    if th.ops.rl2_sb3.has_bf16():
        precisions[BF16] = 0.05
    switches = (False, True)
    for case in itertools.product(precisions.items(), switches, switches, switches):
        (precision, tolerance), relu, resets, sparse = case
        error = _error(precision, relu, resets, sparse)
        if not error <= tolerance:
            raise RuntimeError(f"{precision=}, {relu=}, {resets=}, {sparse=}: off by {error:.2g}")


def _error(precision: int, relu: bool, resets: bool, sparse: bool) -> float:
    """The largest relative error of the output and the gradients."""
    generator = th.Generator().manual_seed(0)

    def some(*shape: int) -> th.Tensor:
        return th.randn(*shape, generator=generator)

    steps, columns, inputs, size = 3, 70, 5, 70  # more than one tile, and than one panel
    x, h, bias = some(steps, columns, inputs), some(columns, size), some(3 * size)
    if sparse:
        x *= some(*x.shape) > 1.5
    weights = GRUWeights(some(3 * size, inputs), some(3 * size, size) / size**0.5, bias)
    keep = (some(steps, columns, 1) > 0).float() if resets else None
    output, *saved = th.ops.rl2_sb3.gru_forward(x, h, keep, *weights, relu, precision, True, 0)
    leaves: Any = [tensor.clone().requires_grad_() for tensor in (x, h, *weights)]
    candidate: Any = "relu" if relu else "tanh"
    expected = python_sequence(leaves[0], leaves[1], keep, GRUWeights(*leaves[2:]), candidate)
    expected.sum().backward()  # type: ignore[no-untyped-call]
    gradients = th.ops.rl2_sb3.gru_backward(
        th.ones_like(output),
        *(x, h, keep, *weights[:2], output, *saved),
        *(relu, precision, True, 0),
    )
    wanted = [expected.detach(), *(leaf.grad for leaf in leaves)]
    got = [output, *gradients]
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(got, wanted, strict=True)]
    return max(errors)
