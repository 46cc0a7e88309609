"""What the recurrence in C++ makes of what is not a plain block of numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch as th

from rl2_sb3.memories import gru_sequence, native
from tests.memories.blocks import Block, different, in_cpp, in_python, random_block, results

pytestmark = pytest.mark.usefixtures("library")

PRECISIONS = [native.FP32, native.BF16, native.ROUNDED]


def test_it_is_used_for_fp32_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    block = random_block(2, 3, 4, 5)
    assert native.serves(block.x, block.h)
    assert not native.serves(block.x.double(), block.h.double())
    assert not native.serves(block.x.to("meta"), block.h.to("meta"))
    assert th.equal(gru_sequence(*block.arguments(), candidate="relu"), in_cpp("relu")(block))

    monkeypatch.setattr(native, "load", lambda: (None, "for a test"))
    assert not native.serves(block.x, block.h)
    assert th.equal(gru_sequence(*block.arguments(), candidate="relu"), in_python("relu")(block))


def test_backward_runs_once_and_says_what_to_do() -> None:
    block = random_block(2, 3, 4, 5)
    weight = block.weight_hh.requires_grad_()
    output = in_cpp()(block).sum()
    (gradient,) = th.autograd.grad(output, weight, retain_graph=True)

    with pytest.raises(RuntimeError, match=r"runs once. Run forward again, or set RL2_NATIVE=0\."):
        th.autograd.grad(output, weight)
    (again,) = th.autograd.grad(in_cpp()(block).sum(), weight)
    assert th.equal(again, gradient)


def test_there_is_no_second_derivative() -> None:
    block = random_block(2, 3, 4, 5)
    weight = block.weight_hh.requires_grad_()
    (gradient,) = th.autograd.grad(in_cpp()(block).square().sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]


def test_nothing_is_kept_where_no_gradient_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    block = random_block(4, 3, 4, 5, "columns")
    expected = in_cpp()(block)
    assert expected.grad_fn is None
    for part in block.leaves():
        part.requires_grad_()
    with_gradient = in_cpp()(block)
    assert with_gradient.grad_fn is not None
    monkeypatch.setattr(native, "_NativeSequence", None)  # what would keep it
    with th.no_grad():
        without = in_cpp()(block)
    with th.inference_mode():
        inferred = in_cpp()(block)
    assert without.grad_fn is inferred.grad_fn is None
    assert th.equal(without, expected)
    assert th.equal(inferred, expected)
    assert th.equal(with_gradient.detach(), expected)


@pytest.mark.parametrize("alone", ["x", "h", "weight_ih", "weight_hh", "bias"])
def test_gradients_of_one_part_alone(alone: str) -> None:
    block = random_block(4, 3, 6, 5, "units")
    expected = results(in_python(), block)[alone]
    part = getattr(block, alone).requires_grad_()
    output = in_cpp()(block)
    slope = th.randn(output.shape, generator=th.Generator().manual_seed(1))
    output.backward(slope)  # type: ignore[no-untyped-call]
    th.testing.assert_close(part.grad, expected, rtol=1e-4, atol=1e-5)
    assert [p.grad is None for p in block.leaves()].count(False) == 1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_parts_may_lie_in_memory_as_they_like(precision: int) -> None:
    block = random_block(4, 6, 8, 10, "columns")
    assert block.keep is not None
    spread = Block(
        block.x.permute(2, 1, 0).contiguous().permute(2, 1, 0),
        th.stack([block.h, block.h], dim=2)[..., 1],
        th.stack([block.keep, block.keep])[1].transpose(0, 1).contiguous().transpose(0, 1),
        block.weight_ih.t().contiguous().t(),
        block.weight_hh.t().contiguous().t(),
        th.stack([block.bias, block.bias], dim=1)[:, 0],
    )
    assert not any(part is None or part.is_contiguous() for part in spread)

    def sequence(block: Block) -> th.Tensor:  # whose slope is spread as well
        output: th.Tensor = in_cpp(precision=precision)(block)
        return output.flip(2).transpose(0, 1)

    assert different(results(sequence, spread), results(sequence, block)) == []
    for one in (spread.x, block.x):  # a slope that is one number in memory
        leaf = one.requires_grad_()
        in_cpp(precision=precision)(block._replace(x=leaf)).sum().backward()  # type: ignore[no-untyped-call]
    th.testing.assert_close(spread.x.grad, block.x.grad, rtol=0, atol=0)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", ["x", "h", "weight_ih", "weight_hh", "bias"])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("candidate", ["tanh", "relu"])
def test_what_is_no_number_comes_out_where_it_does_in_python(
    candidate: Any, precision: int, zeros: bool, part: str, number: float
) -> None:
    block = random_block(5, 3, 8, 18, "never", zeros)
    place = (1, 2, 3) if part == "x" else (1, 3)[: getattr(block, part).dim()]
    if part == "weight_ih":
        block.x[..., 3] = 0  # 0 times infinity is no number either
    getattr(block, part)[place] = number
    found = results(in_cpp(candidate, precision), block)
    expected = results(in_python(candidate, precision), block)
    for name, wanted in expected.items():
        assert found[name].isfinite().all() == wanted.isfinite().all(), name
    if math.isnan(number) or part == "weight_ih":
        assert found["output"].isnan().any()
        assert th.equal(found["output"].isnan(), expected["output"].isnan())


def outcome(sequence: Any, block: Block) -> Any:
    try:
        return results(sequence, block)
    except RuntimeError:
        return "an error"


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("resets", ["never", "columns"])
@pytest.mark.parametrize("shape", [(0, 3, 2, 4), (2, 0, 2, 4), (2, 3, 0, 4)])
def test_nothing_is_what_it_is_in_python(
    shape: tuple[int, int, int, int], resets: str, precision: int
) -> None:
    block = random_block(*shape, resets)
    kind: Any = "fp32" if precision == native.FP32 else "bf16"

    def chosen(block: Block) -> th.Tensor:
        return gru_sequence(*block.arguments(), precision=kind)

    found, expected = outcome(chosen, block), outcome(in_python(precision=precision), block)
    if expected == "an error":
        assert found == expected
    else:
        for name, wanted in expected.items():
            th.testing.assert_close(found[name], wanted, rtol=1e-2, atol=1e-2)


WRONG = {
    "x": (2, 3, 7),
    "h": (2, 5),
    "keep": (2, 2, 1),
    "weight_ih": (15, 3),
    "weight_hh": (15, 6),
    "bias": (14,),
}


@pytest.mark.parametrize("part", WRONG)
def test_shapes_that_do_not_fit_are_refused(part: str) -> None:
    block = random_block(2, 3, 4, 5, "columns")
    wrong = block._replace(**{part: th.ones(WRONG[part])})
    with pytest.raises(RuntimeError, match=rf"\b{part} of"):
        gru_sequence(*wrong.arguments())
    with pytest.raises(RuntimeError):
        in_python()(wrong)


@pytest.mark.parametrize("part", ["keep", "weight_ih", "weight_hh", "bias"])
def test_other_types_are_refused(part: str) -> None:
    block = random_block(2, 3, 4, 5, "columns")
    with pytest.raises(RuntimeError, match="Double"):
        gru_sequence(*block._replace(**{part: getattr(block, part).double()}).arguments())
