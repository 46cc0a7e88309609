from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch as th
from torch import nn

from rl2_sb3.memories import GRU, Candidate, GRUWeights, gru_sequence, products
from tests.memories.reference import Round, plain_gru

STEPS, COLUMNS, INPUTS, SIZE = 6, 3, 2, 4
Tensors = tuple[th.Tensor, th.Tensor, th.Tensor, th.Tensor, th.Tensor]
CANDIDATES: list[Candidate] = ["tanh", "relu"]
KEEPS = ["never", "whole", "partial"]


def problem(dtype: th.dtype = th.float64, size: int = SIZE) -> Tensors:
    """Inputs, state and weights, each wanting a gradient."""
    generator = th.Generator().manual_seed(0)

    def random(*shape: int) -> th.Tensor:
        return th.randn(shape, generator=generator, dtype=dtype).requires_grad_()

    inputs, state = random(STEPS, COLUMNS, INPUTS), random(COLUMNS, size)
    return inputs, state, random(3 * size, INPUTS), random(3 * size, size), random(3 * size)


def resets(kind: str, dtype: th.dtype = th.float64) -> th.Tensor | None:
    if kind == "never":
        return None
    shape = (STEPS, COLUMNS, 1 if kind == "whole" else SIZE)
    return (th.rand(shape, generator=th.Generator().manual_seed(1)) < 0.6).to(dtype)


def gradients(output: th.Tensor, tensors: Sequence[th.Tensor]) -> tuple[th.Tensor, ...]:
    slope = th.randn(output.shape, generator=th.Generator().manual_seed(2)).to(output)
    return th.autograd.grad(output, tensors, slope)


def run(tensors: Tensors, keep: th.Tensor | None, candidate: Candidate = "tanh") -> th.Tensor:
    x, h = tensors[:2]
    return gru_sequence(x, h, keep, GRUWeights(*tensors[2:]), candidate)


def test_equals_torch_gru_with_gradients() -> None:
    x, h, weight_ih, weight_hh, bias = tensors = problem()
    theirs = nn.GRU(INPUTS, SIZE, dtype=th.float64)
    weights = {"weight_ih_l0": weight_ih, "weight_hh_l0": weight_hh, "bias_ih_l0": bias}
    theirs.load_state_dict({**weights, "bias_hh_l0": th.zeros_like(bias)})
    output, _ = theirs(x, h[None])
    parameters = [theirs.get_parameter(name) for name in weights]

    th.testing.assert_close(run(tensors, None), output)
    th.testing.assert_close(
        gradients(run(tensors, None), tensors), gradients(output, [x, h, *parameters])
    )


@pytest.mark.parametrize("candidate", CANDIDATES)
@pytest.mark.parametrize("kind", KEEPS)
def test_equals_the_equations_with_gradients(kind: str, candidate: Candidate) -> None:
    tensors = problem()
    plain = plain_gru(*tensors[:2], resets(kind), GRUWeights(*tensors[2:]), candidate)

    th.testing.assert_close(run(tensors, resets(kind), candidate), plain)
    th.testing.assert_close(
        gradients(run(tensors, resets(kind), candidate), tensors), gradients(plain, tensors)
    )


@pytest.mark.parametrize("candidate", CANDIDATES)
@pytest.mark.parametrize("kind", KEEPS)
def test_gradients_are_those_of_finite_differences(kind: str, candidate: Candidate) -> None:
    def sequence(*tensors: th.Tensor) -> th.Tensor:
        x, h, weight_ih, weight_hh, bias = tensors
        return run((x, h, weight_ih, weight_hh, bias), resets(kind), candidate)

    assert th.autograd.gradcheck(sequence, problem())


def test_a_reset_inside_equals_separate_sequences() -> None:
    tensors = problem()
    (x, h), weights = tensors[:2], GRUWeights(*tensors[2:])
    keep = th.ones(STEPS, COLUMNS, 1, dtype=th.float64)
    keep[4, 1] = 0  # column 1 begins anew before step 4, the others never
    output = run(tensors, keep)

    first = gru_sequence(x[:4], h, None, weights)
    second = gru_sequence(x[4:, [1]], th.zeros_like(h[[1]]), None, weights)
    th.testing.assert_close(output[:4], first)
    th.testing.assert_close(output[4:, [1]], second)
    th.testing.assert_close(output[:, [0, 2]], run(tensors, None)[:, [0, 2]])
    # Nothing flows back past the reset, in that column alone.
    before = th.autograd.grad(output[4:].sum(), x)[0][:4].abs().sum(dim=(0, 2))
    assert before[1] == 0
    assert (before[[0, 2]] > 0).all()


def test_a_reset_before_the_first_step_forgets_the_state() -> None:
    tensors = problem()
    (x, h), weights = tensors[:2], GRUWeights(*tensors[2:])
    keep = th.ones(STEPS, COLUMNS, 1, dtype=th.float64)
    keep[0, 0] = 0

    output = run(tensors, keep)

    fresh = gru_sequence(x[:, [0]], th.zeros_like(h[[0]]), None, weights)
    th.testing.assert_close(output[:, [0]], fresh)
    grad_h = th.autograd.grad(output.sum(), h)[0]
    assert (grad_h[0] == 0).all()
    assert (grad_h[1:] != 0).any(dim=1).all()


def rounded(factor: th.Tensor) -> th.Tensor:
    """The factor in bf16; its gradient passes as it is."""
    return factor + (factor.detach().bfloat16().to(factor.dtype) - factor.detach())


@pytest.mark.usefixtures("recurrence")
@pytest.mark.parametrize(
    ("native", "tolerance"),
    [
        (False, 1e-5),
        (True, 2e-2),  # results are rounded as well
    ],
)
def test_bf16_is_arithmetic_on_rounded_factors(
    native: bool, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "has_bf16", lambda device: native)
    tensors = problem(th.float32, size=32)
    (x, h), weights = tensors[:2], GRUWeights(*tensors[2:])
    keep = resets("whole", th.float32)

    def plain(round_factor: Round) -> th.Tensor:
        return plain_gru(x, h, keep, weights, "tanh", "bf16", round_factor)

    output = gru_sequence(x, h, keep, weights, "tanh", "bf16")

    assert output.dtype == th.float32
    th.testing.assert_close(output, plain(rounded), atol=tolerance, rtol=0)
    assert (output - plain(lambda factor: factor)).abs().max() > 1e-3
    # Going back, the gradients of the gates are factors too: 8 bits of them remain.
    for ours, theirs in zip(
        gradients(output, tensors), gradients(plain(rounded), tensors), strict=True
    ):
        assert ours.dtype == th.float32
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_a_cpu_without_bf16_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(th.cpu, name, lambda: False, raising=False)

    with pytest.warns(UserWarning, match="no bf16"):
        assert not products.has_bf16.__wrapped__(th.device("cpu"))

    monkeypatch.setattr(th.cpu, "_is_amx_tile_supported", lambda: True)
    assert products.has_bf16.__wrapped__(th.device("cpu"))


def test_initial_weights_are_orthogonal_and_xavier() -> None:
    inputs, size = 10, 64
    gru = GRU(inputs, size)

    for block in gru.weight_hh.detach().chunk(3):
        th.testing.assert_close(block @ block.t(), th.eye(size), atol=1e-5, rtol=0)
    # Each gate's block has its own fans: uniform within sqrt(6 / (inputs + units)).
    bound = (6 / (inputs + size)) ** 0.5
    assert 0.9 * bound < gru.weight_ih.abs().max() <= bound
    assert (gru.bias == 0).all()


def test_units_remember_over_as_many_steps_as_they_are_told() -> None:
    bias = GRU(3, 1000, memory_steps=50).bias.detach()
    keep = bias[1000:2000].sigmoid()
    assert bias[:1000].abs().max() == bias[2000:].abs().max() == 0
    steps = 1 / (1 - keep)  # over which a unit forgets; Tallec & Ollivier: uniform from 2 to 50
    assert steps.min() > 2 - 1e-3
    assert steps.max() < 50
    assert steps.mean() == pytest.approx(26, abs=2)
