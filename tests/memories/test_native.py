"""The recurrence in C++ is that in Python, for all shapes and any number of threads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch as th

from rl2_sb3.memories import Candidate, GRUWeights, gru_sequence, native, products
from tests.memories.blocks import (
    RESETS,
    different,
    errors,
    in_cpp,
    in_python,
    random_block,
    results,
)

pytestmark = pytest.mark.usefixtures("library")

UNITS = [1, 3, 17, 30, 64, 130]
"""A vector has 4, 8 or 16 of them, a panel of weights 64, a block of their gradients 192 rows."""
SHAPES = [(1, 1, 1), (1, 40, 6), (7, 3, 5), (9, 130, 11), (2, 5, 70), (37, 33, 20)]
"""Steps, columns, inputs. From 33 columns on there are several tiles; the last has 1221 rows."""
TASKS = Path("/proc/self/task")
PRECISIONS = {"fp32": native.FP32, "bf16": native.BF16, "rounded": native.ROUNDED}


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("resets", RESETS)
@pytest.mark.parametrize("candidate", ["tanh", "relu"])
@pytest.mark.parametrize("units", UNITS)
def test_it_is_the_recurrence_in_python(
    units: int, candidate: Candidate, resets: str, zeros: bool
) -> None:
    for seed, (steps, columns, inputs) in enumerate(SHAPES):
        block = random_block(steps, columns, inputs, units, resets, zeros, seed)
        found = results(in_cpp(candidate), block)
        exact = results(in_python(candidate), block.to(th.float64))
        assert max(errors(found, exact).values()) < 1e-5, (steps, columns, inputs)


def has_products() -> bool:
    return bool(th.ops.rl2_sb3.has_bf16())


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("resets", RESETS)
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("precision", ["bf16", "rounded"])
def test_bf16_is_as_near_to_fp64_as_in_python(
    precision: str, units: int, resets: str, zeros: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = PRECISIONS[precision]
    if kind == native.BF16 and not has_products():
        pytest.skip("this processor multiplies no bf16 numbers")
    monkeypatch.setattr(products, "has_bf16", lambda device: kind == native.BF16)
    # A single input's gradient would be what cancellation leaves of it.
    for seed, (steps, columns, inputs) in enumerate([(1, 1, 9), *SHAPES[1:]]):
        block = random_block(steps, columns, inputs, units, resets, zeros, seed)
        exact = results(in_python(), block.to(th.float64))
        theirs = errors(results(in_python(precision=kind), block), exact)
        ours = errors(results(in_cpp(precision=kind), block), exact)
        for name, error in ours.items():
            assert error < max(2 * theirs[name], 1e-2), (name, steps, columns, inputs)


@pytest.mark.parametrize("candidate", ["tanh", "relu"])
@pytest.mark.parametrize("units", UNITS)
def test_factors_are_rounded_as_in_python(
    units: int, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "has_bf16", lambda device: False)
    for zeros in (False, True):
        block = random_block(7, 40, 9, units, "columns", zeros)
        expected = results(in_python(candidate, native.ROUNDED), block)
        found = results(in_cpp(candidate, native.ROUNDED), block)
        # Sums in another order fall on the other side of a rounding here and there.
        assert max(errors(found, expected).values()) < 1e-3
        # Sums are fp32 with bf16's products, too; Python's are rounded as well.
        output = results(in_cpp(candidate, native.BF16), block)["output"]
        assert errors({"output": output}, {"output": expected["output"]})["output"] < 1e-3


def test_bf16_products_are_used_where_there_are_any() -> None:
    block, odd = random_block(5, 40, 9, 64, "columns"), random_block(5, 40, 9, 65, "columns")
    bf16, rounded = (in_cpp(precision=kind) for kind in (native.BF16, native.ROUNDED))
    # They take pairs of factors: an odd number of units is for the stand-in.
    assert different(results(bf16, odd), results(rounded, odd)) == []
    used = "output" in different(results(bf16, block), results(rounded, block))
    assert used == has_products()


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("resets", RESETS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_any_number_of_threads_gives_the_same_bits(
    precision: str, resets: str, zeros: bool
) -> None:
    sequence = in_cpp("relu", PRECISIONS[precision])
    for shape in ((12, 100, 11), (3, 2, 5), (9, 130, 70)):
        block = random_block(*shape, 130, resets, zeros)
        found = []
        for number in (1, 2, 3):
            with native.threads(number):
                found.append(results(sequence, block))
        assert different(found[0], found[1]) == different(found[0], found[2]) == []
    assert th.get_num_threads() == 1


@pytest.mark.skipif(not TASKS.exists(), reason="nothing tells this process's threads")
def test_it_takes_as_many_threads_as_it_is_told() -> None:
    before = len(list(TASKS.iterdir()))
    with native.threads(12):
        in_cpp()(random_block(2, 12 * 32, 3, 8))
    assert before < 12 <= len(list(TASKS.iterdir()))
    assert th.get_num_threads() == 1


@pytest.mark.parametrize("resets", RESETS)
@pytest.mark.parametrize("candidate", ["tanh", "relu"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_block_repeated_gives_the_same_bits_and_no_gradient_the_same_output(
    precision: str, candidate: Candidate, resets: str
) -> None:
    block, sequence = random_block(9, 40, 6, 30, resets), in_cpp(candidate, PRECISIONS[precision])
    found = results(sequence, block)
    assert different(found, results(sequence, block)) == []
    assert th.equal(sequence(block), found["output"])


def test_units_that_remember_long_learn_in_bf16(library: object) -> None:
    """Their update gates are close to 1: an error of 1 - z would compound over the trial."""
    if not th.ops.rl2_sb3.has_bf16():
        pytest.skip("no products of bf16 numbers here")
    steps, size = 500, 32
    th.manual_seed(0)
    x, h = th.randn(steps, 4, 5), th.randn(4, size)
    weights = [th.randn(3 * size, 5) / 5, th.randn(3 * size, size) / 30, th.zeros(3 * size)]
    weights[2][size : 2 * size] = math.log(steps - 1)

    def gradients(double: bool, precision: Any) -> list[th.Tensor]:
        leaves: Any = [p.double() if double else p.clone() for p in (h, *weights)]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        block = x.to(leaves[0].dtype), leaves[0], None, GRUWeights(*leaves[1:])
        states = gru_sequence(*block, "tanh", precision)
        return list(th.autograd.grad(states[-1].sum(), leaves))

    for got, wanted in zip(gradients(False, "bf16"), gradients(True, "fp32"), strict=True):
        assert (got - wanted).norm() < 0.02 * wanted.norm()
