"""check_memory: the contract of a memory, as a test that plugin authors run."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import torch as th

from rl2_sb3.memories import Memory
from rl2_sb3.memories.base import accepted
from rl2_sb3.testing.watched import demand

INPUTS, STEPS, COLUMNS = 5, 7, 3
PARTS = {"action": slice(0, 2), "reward": slice(2, 3), "action_reward": slice(3, 5)}
"""Of the inputs, for a memory that is told them."""


class Block(NamedTuple):
    """What a memory runs over."""

    x: th.Tensor
    state: th.Tensor


def check_memory(
    kind: Callable[..., Memory], size: int = 6, tolerance: float = 1e-5, **options: Any
) -> None:
    """Raise an error where a memory breaks its contract, and say the way out.

    For a plugin's own tests: ``def test_contract(): check_memory(MyMemory)``.

    :param kind: the class, as an entry point names it
    :param size: the ``hidden_size`` that it is made with
    :param tolerance: of numbers that should be equal, absolute and relative; for bf16, more
    :param options: further keyword arguments of its constructor
    :raises AssertionError: it breaks the contract
    """
    th.manual_seed(0)
    memory = kind(INPUTS, size, **{**accepted(kind, {"parts": PARTS}), **options})
    demand(isinstance(memory, Memory), f"{kind} makes no Memory: subclass rl2_sb3.memories.Memory.")
    for name in ("state_size", "output_size"):
        number = getattr(memory, name, None)
        demand(
            isinstance(number, int) and number >= 0,
            f"{name}={number!r}: set it to a whole number in the constructor.",
        )
    _check_parameters(memory)
    check = _Check(memory, tolerance)
    check.shapes()
    check.repetition()
    check.parts()
    check.steps()
    check.columns()
    check.resets()
    check.remembering()
    check.gradients()


class _Check:
    """What a memory does with a block, and what it should do."""

    def __init__(self, memory: Memory, tolerance: float):
        self.memory, self.tolerance = memory, tolerance
        with th.no_grad():
            self.block = self._random_block()
            self.outputs, self.last = self._run(*deepcopy(self.block))

    def _random_block(self) -> Block:
        """Random inputs, in the midst of trials."""
        new = th.zeros(COLUMNS, self.memory.state_size)
        _, state = self._run(th.randn(STEPS, COLUMNS, INPUTS), new)
        return Block(th.randn(STEPS, COLUMNS, INPUTS), state)

    def shapes(self) -> None:
        sizes = {
            "outputs": (self.outputs, (STEPS, COLUMNS, self.memory.output_size)),
            "the state": (self.last, (COLUMNS, self.memory.state_size)),
        }
        for name, (found, shape) in sizes.items():
            demand(
                found.shape == shape,
                f"forward gives {name} of the shape {tuple(found.shape)}, not {shape}: it is time-"
                "major, (steps, columns, output_size), and the state (columns, state_size).",
            )
            demand(
                found.dtype == th.float32,
                f"forward gives {name} in {found.dtype} for inputs in float32: keep x's type.",
            )

    @th.no_grad()
    def repetition(self) -> None:
        block = deepcopy(self.block)
        again = self._run(*block)
        demand(
            th.equal(again[0], self.outputs) and th.equal(again[1], self.last),
            "forward gives other numbers for the same block: keep nothing between calls but what "
            "is in the state, and draw nothing at random.",
        )
        demand(
            all(map(th.equal, block, self.block)),
            "forward changes x or the state in place: learning goes over them again.",
        )

    @th.no_grad()
    def parts(self) -> None:
        x, state = self.block
        whole = th.cat([x.new_ones(COLUMNS, 3), state, x.new_ones(COLUMNS, 2)], dim=1)
        self._same(
            self._run(x, whole[:, 3 : 3 + state.shape[1]]),
            "A state that is a part of a larger tensor gives other numbers: do not count on its "
            "rows following each other in memory.",
        )

    @th.no_grad()
    def steps(self) -> None:
        state, outputs = self.block.state, []
        for step in self.block.x:
            output, state = self._run(step[None], state)
            outputs.append(output)
        self._same(
            (th.cat(outputs), state),
            "A block gives other numbers than its steps one after the other: what learning sees "
            "would not be what acting did. All that a later step needs belongs into the state.",
        )

    @th.no_grad()
    def resets(self) -> None:
        x, state = self.block
        keep = th.ones(STEPS, COLUMNS, 1)
        self._same(self._run(x, state, keep), "keep=1 gives other numbers than keep=None.")
        keep[3, 1] = keep[0, 2] = 0
        outputs, last = self._run(x, state, keep)
        for column, start in ((1, 3), (2, 0)):
            chosen = [column]
            fresh = self._run(x[start:, chosen], th.zeros_like(state[chosen]))
            found = outputs[start:, chosen], last[chosen]
            self._same(
                found,
                "A state that keep=0 resets gives other numbers than a new trial, whose state is "
                "0: multiply the whole state by keep[t] before step t, the first among them.",
                fresh,
            )
        self._same(
            (outputs[:3, [0, 1]], last[[0]]),
            "keep=0 changes what came before the reset, or another column.",
            (self.outputs[:3, [0, 1]], self.last[[0]]),
        )
        if self.memory.partial_resets:
            keep = (th.rand(STEPS, COLUMNS, self.memory.state_size) < 0.5).float()
            first = self._run(x[:1], state * keep[0])
            second = self._run(x[1:2], first[1] * keep[1])
            self._same(
                self._run(x[:2], state, keep[:2]),
                "partial_resets is set, but keep of the shape (steps, columns, state_size) is not "
                "what the state is multiplied by.",
                (th.cat([first[0], second[0]]), second[1]),
            )

    @th.no_grad()
    def columns(self) -> None:
        x, state = deepcopy(self.block)
        other = self._random_block()
        x[:, 0], state[0] = other.x[:, 0], other.state[0]
        outputs, last = self._run(x, state)
        self._same(
            (outputs[:, 1:], last[1:]),
            "A column's numbers depend on another's: columns are trials with nothing in common.",
            (self.outputs[:, 1:], self.last[1:]),
        )

    @th.no_grad()
    def remembering(self) -> None:
        x, state = deepcopy(self.block)
        x[0] += 1
        demand(
            not th.equal(self._run(x, state)[0][1:], self.outputs[1:]),
            "Outputs do not depend on the inputs of earlier steps: nothing is remembered.",
        )

    def gradients(self) -> None:
        x, state = (part.clone().requires_grad_() for part in self.block)
        names, parameters = [], []
        for name, parameter in self.memory.named_parameters():
            names.append(name)
            parameters.append(parameter)
        outputs, _ = self._run(x, state)
        demand(
            outputs.requires_grad,
            "Outputs have no gradient: detach nothing in forward, or set fixed where nothing is "
            "to learn.",
        )
        leaves = [x, state, *parameters]
        found = th.autograd.grad(outputs[1:].square().sum(), leaves, allow_unused=True)
        slopes = dict(zip(["x", "the state", *names], found, strict=True))
        for name, slope in slopes.items():
            demand(
                slope is not None and bool((slope != 0).any()),
                f"No gradient reaches {name}: detach nothing in forward, and have no parameter "
                "that is not used.",
            )
        slope = slopes["x"]
        assert slope is not None
        demand(
            bool((slope[0] != 0).any()),
            "No gradient reaches earlier inputs: back-propagation goes through the whole block.",
        )

    def _run(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        try:
            given: Any = self.memory(x, state, keep)
        except Exception as error:  # a plugin's forward may raise anything
            shapes = [None if part is None else tuple(part.shape) for part in (x, state, keep)]
            raise AssertionError(
                f"forward raises {error!r} for x, state and keep of the shapes {shapes}."
            ) from error
        demand(
            isinstance(given, tuple) and len(given) == 2,
            "forward gives no pair: outputs, and the state after the last step.",
        )
        outputs, last = given
        return outputs, last

    def _same(
        self,
        found: tuple[th.Tensor, th.Tensor],
        message: str,
        expected: tuple[th.Tensor, th.Tensor] | None = None,
    ) -> None:
        wanted = (self.outputs, self.last) if expected is None else expected
        for ours, theirs in zip(found, wanted, strict=True):
            close = ours.shape == theirs.shape and th.allclose(
                ours, theirs, rtol=self.tolerance, atol=self.tolerance
            )
            demand(close, message)


def _check_parameters(memory: Memory) -> None:
    count = len(list(memory.parameters()))
    demand(
        not (memory.fixed and count),
        f"fixed=True says that nothing is to learn, but there are {count} parameters: leave it "
        "out.",
    )
