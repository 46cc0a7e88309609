"""The memories keep the contract; one that breaks it is told how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch as th
from torch import nn

from rl2_sb3.memories import GRU, Memory
from rl2_sb3.memories.products import has_bf16
from rl2_sb3.registry import MEMORIES
from rl2_sb3.testing import check_memory


class Leaky(Memory):
    """A leaky sum: as small as a memory can be."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.state_size = self.output_size = size
        self.enter = nn.Linear(inputs, size)

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        states = []
        for t, entering in enumerate(self.enter(x)):
            state = self.step(entering, state if keep is None else state * keep[t])
            states.append(state)
        return th.stack(states), state

    def step(self, entering: th.Tensor, state: th.Tensor) -> th.Tensor:
        return 0.5 * state + entering


class Sized(Leaky):
    def __init__(self, inputs: int, size: int):
        super().__init__(inputs, size)
        self.state_size = 2 * size


class Unsized(Memory):
    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.output_size = size

    def forward(self, x: Any, state: Any, keep: Any = None) -> Any:
        return x, state


class Transposed(Leaky):
    def forward(self, x: Any, state: Any, keep: Any = None) -> Any:
        outputs, state = super().forward(x, state, keep)
        return outputs.transpose(0, 1), state


class Double(Leaky):
    def step(self, entering: th.Tensor, state: th.Tensor) -> th.Tensor:
        return super().step(entering, state).double()


class OutputOnly(Leaky):
    def forward(self, x: Any, state: Any, keep: Any = None) -> Any:
        return super().forward(x, state, keep)[0]


class Random(Leaky):
    def step(self, entering: th.Tensor, state: th.Tensor) -> th.Tensor:
        return super().step(entering, state) * th.rand(())


class InPlace(Leaky):
    def step(self, entering: th.Tensor, state: th.Tensor) -> th.Tensor:
        return super().step(entering, state.mul_(0.9) if not state.requires_grad else state)


class CountsOnRows(Leaky):
    """Takes the state's rows to follow each other in memory."""

    def step(self, entering: th.Tensor, state: th.Tensor) -> th.Tensor:
        return super().step(entering, state.as_strided(state.shape, (state.shape[1], 1)))


class SeesTheBlock(Leaky):
    """Sums up what comes later in the block too."""

    def forward(self, x: Any, state: Any, keep: Any = None) -> Any:
        return super().forward(x + x.mean(dim=0), state, keep)


class Clinging(Leaky):
    def forward(self, x: Any, state: Any, keep: Any = None) -> Any:
        return super().forward(x, state)


class ForgetsLate(Leaky):
    """Resets after a step, not before it."""

    def forward(self, x: Any, state: Any, keep: Any = None) -> Any:
        return super().forward(x, state, None if keep is None else keep.roll(1, dims=0))


class HalfReset(Leaky):
    partial_resets: ClassVar[bool] = True

    def forward(self, x: Any, state: Any, keep: Any = None) -> Any:
        return super().forward(x, state, None if keep is None else keep[..., :1])


class Mixing(Leaky):
    def step(self, entering: th.Tensor, state: th.Tensor) -> th.Tensor:
        return super().step(entering, state) - (0.1 * state).mean(dim=0, keepdim=True)


class Forgetful(Leaky):
    def step(self, entering: th.Tensor, state: th.Tensor) -> th.Tensor:
        return entering


class Truncating(Leaky):
    """A gradient for the last step alone."""

    def step(self, entering: th.Tensor, state: th.Tensor) -> th.Tensor:
        return super().step(entering, state.detach())


class Unused(Leaky):
    def __init__(self, inputs: int, size: int):
        super().__init__(inputs, size)
        self.spare = nn.Parameter(th.ones(3))


class Fixed(Leaky):
    fixed: ClassVar[bool] = True


BROKEN: dict[type[Any], str] = {
    nn.GRUCell: "makes no Memory: subclass",
    Unsized: "state_size=None: set it",
    Sized: r"forward raises .*shapes \[\(7, 3, 5\), \(3, 12\), None\]",
    Transposed: r"outputs of the shape \(3, 7, 6\), not \(7, 3, 6\)",
    Double: "float64 for inputs in float32",
    OutputOnly: "forward gives no pair",
    Random: "other numbers for the same block",
    InPlace: "in place",
    CountsOnRows: "a part of a larger tensor gives other numbers",
    SeesTheBlock: "than its steps one after the other",
    Clinging: "that keep=0 resets gives other numbers than a new trial",
    ForgetsLate: "that keep=0 resets gives other numbers than a new trial",
    HalfReset: "partial_resets is set, but keep",
    Mixing: "depend on another's",
    Forgetful: "nothing is remembered",
    Truncating: "No gradient reaches the state",
    Unused: "No gradient reaches spare",
    Fixed: "fixed=True says that nothing is to learn, but there are 2 parameters",
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_memory_is_told_how(kind: type[Any]) -> None:
    with pytest.raises(AssertionError, match=BROKEN[kind]):
        check_memory(kind)


def test_the_smallest_memory_keeps_the_contract() -> None:
    check_memory(Leaky)


PER_ACTION = "action-gru", "action-sums"
"""Memories that are told where the actions stand."""
SMALLEST = {"fast-weights": 8, "linear": 2, "window": 4}
"""Sizes: others have one unit."""


@pytest.mark.usefixtures("recurrence")
@pytest.mark.parametrize(
    "name", [*PER_ACTION, "fast-weights", "gru", "linear", "lstm", "sums", "window"]
)
def test_ours_keep_the_contract(name: str) -> None:
    kind: Callable[..., Memory] = MEMORIES.load(name)
    check_memory(kind, size=8)
    check_memory(kind, size=SMALLEST.get(name, 1))


@pytest.mark.filterwarnings("ignore:This CPU has no bf16")
@pytest.mark.parametrize("name", ["fast-weights", "gru", "linear", "window"])
def test_bf16_is_close_to_fp32(name: str) -> None:
    th.manual_seed(0)
    memory = MEMORIES.load(name)(5, 32)
    x, state = th.randn(20, 3, 5), th.zeros(3, memory.state_size)
    exact, _ = memory(x, state)
    memory.precision = "bf16"
    rounded, last = memory(x, state)
    assert rounded.dtype == last.dtype == th.float32
    assert not (th.equal(rounded, exact) and has_bf16(x.device))
    th.testing.assert_close(rounded, exact, atol=0.05, rtol=0)


def test_a_grus_options_keep_the_contract() -> None:
    check_memory(GRU, candidate="relu", memory_steps=20)
