"""What a library must do before it is used."""

from __future__ import annotations

import itertools
from typing import Any

import torch as th

from rl2_sb3.policies.gru import python_sequence
from rl2_sb3.policies.native import BF16, FP32, ROUNDED


def check(library: str) -> None:
    """Load a library and compare a small block with the recurrence in Python.

    :raises RuntimeError: other numbers
    """
    th.ops.load_library(library)  # type: ignore[no-untyped-call]
    generator = th.Generator().manual_seed(0)

    def some(*shape: int) -> th.Tensor:
        return th.randn(*shape, generator=generator)

    steps, columns, inputs, size = 3, 70, 5, 22
    x, h, bias = some(steps, columns, inputs), some(columns, size), some(3 * size)
    weights = some(3 * size, inputs), some(3 * size, size) / size**0.5, bias
    keep = (some(steps, columns, 1) > 0).float()
    precisions = {FP32: 1e-5, ROUNDED: 0.05}
    if th.ops.rl2_sb3.has_bf16():
        precisions[BF16] = 0.05
    for (precision, tolerance), relu in itertools.product(precisions.items(), (False, True)):
        output, gates, before, factors = th.ops.rl2_sb3.gru_forward(
            x, h, keep, *weights, relu, precision, True, 0
        )
        leaves: Any = [tensor.clone().requires_grad_() for tensor in (x, h, *weights)]
        arguments: Any = (*leaves[:2], keep, *leaves[2:], "relu" if relu else "tanh")
        expected = python_sequence(*arguments)
        expected.sum().backward()  # type: ignore[no-untyped-call]
        gradients = th.ops.rl2_sb3.gru_backward(
            th.ones_like(output),
            *(x, h, keep, *weights[:2], output, gates, before, factors),
            *(relu, precision, True, 0),
        )
        pairs = [(output, expected.detach())]
        pairs += [(got, leaf.grad) for got, leaf in zip(gradients, leaves, strict=True)]
        for got, wanted in pairs:
            error = float((got - wanted).norm() / wanted.norm())
            if not error <= tolerance:
                raise RuntimeError(f"relu={relu}, precision={precision}: off by {error:.2g}")
