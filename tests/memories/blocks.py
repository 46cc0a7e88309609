"""Random blocks for the recurrence, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch as th

from rl2_sb3.memories import Candidate, GRUWeights, Memory, native
from rl2_sb3.memories.gru import python_sequence

RESETS = ["never", "columns", "units"]
Sequence = Callable[["Block"], th.Tensor]


class Block(NamedTuple):
    """What the recurrence takes."""

    x: th.Tensor
    h: th.Tensor
    keep: th.Tensor | None
    weight_ih: th.Tensor
    weight_hh: th.Tensor
    bias: th.Tensor

    def arguments(self) -> tuple[th.Tensor, th.Tensor, th.Tensor | None, GRUWeights]:
        """The same as the recurrence's arguments."""
        return *self[:3], GRUWeights(*self[3:])

    def leaves(self) -> list[th.Tensor]:
        """What gradients are with respect to."""
        return [self.x, self.h, self.weight_ih, self.weight_hh, self.bias]

    def to(self, dtype: th.dtype) -> Block:
        return Block(*(None if part is None else part.to(dtype) for part in self))  # type: ignore[arg-type]


def random_block(
    steps: int,
    columns: int,
    inputs: int,
    size: int,
    resets: str = "never",
    zeros: bool = False,
    seed: int = 0,
) -> Block:
    """Numbers around 1, such that states neither vanish nor explode.

    :param resets: of no memory, of whole columns, or of single units
    :param zeros: three of four inputs and more are 0
    """
    generator = th.Generator().manual_seed(seed)

    def some(*shape: int) -> th.Tensor:
        return th.randn(shape, generator=generator)

    x, keep = some(steps, columns, inputs), None
    if zeros:
        x *= th.rand(x.shape, generator=generator) < 0.2
    if resets != "never":
        shape = (steps, columns, size if resets == "units" else 1)
        keep = (th.rand(shape, generator=generator) < 0.7).float()
    weight_ih = some(3 * size, inputs) / max(1, inputs) ** 0.5
    weight_hh = some(3 * size, size) / max(1, size) ** 0.5
    return Block(x, some(columns, size), keep, weight_ih, weight_hh, some(3 * size))


def in_cpp(candidate: Candidate = "tanh", precision: int = native.FP32) -> Sequence:
    return lambda block: native.native_sequence(*block.arguments(), candidate == "relu", precision)


def in_python(candidate: Candidate = "tanh", precision: int = native.FP32) -> Sequence:
    kind = "fp32" if precision == native.FP32 else "bf16"
    return lambda block: python_sequence(*block.arguments(), candidate, kind)  # type: ignore[arg-type]


def results(sequence: Sequence, block: Block) -> dict[str, th.Tensor]:
    """The output, and the gradients of its product with a random slope."""
    leaves = [leaf.detach().requires_grad_() for leaf in block.leaves()]
    output = sequence(Block(leaves[0], leaves[1], block.keep, *leaves[2:]))
    slope = th.randn(output.shape, generator=th.Generator().manual_seed(1)).to(output)
    gradients = th.autograd.grad(output, leaves, slope)
    names = [name for name in Block._fields if name != "keep"]
    return {"output": output.detach(), **dict(zip(names, gradients, strict=True))}


def errors(found: dict[str, th.Tensor], exact: dict[str, th.Tensor]) -> dict[str, float]:
    """Of each result, the norm of its error as a part of its own."""
    return {
        name: float((found[name] - part).norm() / part.norm().clamp(min=1e-12))
        for name, part in exact.items()
    }


def different(some: dict[str, th.Tensor], others: dict[str, th.Tensor]) -> list[str]:
    """The results that are not the same bit for bit."""
    return [name for name in some if not th.equal(some[name], others[name])]


def in_pieces(
    memory: Memory,
    x: th.Tensor,
    state: th.Tensor,
    pieces: list[int],
    keep: th.Tensor | None = None,
) -> tuple[th.Tensor, th.Tensor]:
    """What a block gives that is handed in as shorter ones, of ``pieces`` steps each."""
    outputs, start = [], 0
    for length in pieces:
        part = slice(start, start + length)
        output, state = memory(x[part], state, None if keep is None else keep[part])
        outputs.append(output)
        start += length
    return th.cat(outputs), state
