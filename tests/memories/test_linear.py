from __future__ import annotations

from typing import Any

import pytest
import torch as th
from torch.utils._python_dispatch import TorchDispatchMode

from rl2_sb3.memories import Linear
from rl2_sb3.memories.linear import scan
from rl2_sb3.testing import check_memory

COLUMNS, INPUTS, SIZE = 3, 5, 4
LENGTHS = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 50]


def one_by_one(decay: th.Tensor, drive: th.Tensor, h: th.Tensor) -> th.Tensor:
    states = []
    for a, b in zip(decay, drive, strict=True):
        h = a * h + b
        states.append(h)
    return th.stack(states)


@pytest.mark.parametrize("steps", LENGTHS)
def test_scan_equals_the_recurrence_step_by_step_with_gradients(steps: int) -> None:
    th.manual_seed(steps)
    decay = th.rand(steps, COLUMNS, SIZE, dtype=th.float64)
    decay[th.rand(steps, COLUMNS) < 0.2] = 0  # resets
    drive, h = th.randn_like(decay), th.randn(COLUMNS, SIZE, dtype=th.float64)
    parts = [part.requires_grad_() for part in (decay, drive, h)]

    found, expected = scan(*parts), one_by_one(*parts)

    th.testing.assert_close(found, expected)
    slope = th.randn_like(expected)
    th.testing.assert_close(
        th.autograd.grad(found, parts, slope), th.autograd.grad(expected, parts, slope)
    )


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_operations_one_after_the_other_are_far_fewer_than_steps() -> None:
    steps = 10_000
    decay = th.rand(steps, 1, 1)
    with Counting() as counting:
        scan(decay, decay, th.zeros(1, 1))
    assert counting.count < steps / 10


def test_a_step_is_the_formula() -> None:
    th.manual_seed(0)
    memory = Linear(INPUTS, SIZE, layers=1).double()
    layer: Any = memory.layers[0]
    x = th.randn(1, COLUMNS, INPUTS, dtype=th.float64)
    h = th.randn(COLUMNS, SIZE, dtype=th.float64)

    output, last = memory(x, h)

    stream = memory.embed(x[0])
    z, c = layer.gates(layer.norm(stream)).split(SIZE, dim=1)
    a = 1 / (1 + (-z).exp())
    expected = a * h + (1 - a**2).sqrt() * c
    th.testing.assert_close(last, expected)
    stream = stream + expected
    gate, up = layer.up(layer.norm_up(stream)).split(SIZE, dim=1)
    stream = stream + layer.down(gate / (1 + (-gate).exp()) * up)
    th.testing.assert_close(output[0], memory.norm(stream))


@pytest.mark.parametrize("layers", [1, 3])
def test_contract(layers: int) -> None:
    check_memory(Linear, layers=layers, memory_steps=9)


def test_units_forget_at_the_speeds_asked_for() -> None:
    layer: Any = Linear(INPUTS, 1000, memory_steps=50).layers[0]
    gates = layer.gates.bias
    speeds = gates[:1000].exp() + 1  # a unit that keeps the share 1 - 1 / t forgets over t steps
    assert 2 <= speeds.min() < 4
    assert 46 < speeds.max() <= 50
    assert (gates[1000:] == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"layers": 0}, "layers=0: one or more"), ({"memory_steps": 1}, "memory_steps=1: 0 for none")],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Linear(INPUTS, SIZE, **options)


def test_one_unit_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size=1: two or more"):
        Linear(INPUTS, 1)
