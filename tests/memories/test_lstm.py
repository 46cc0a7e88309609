from __future__ import annotations

import pytest
import torch as th
from torch import nn

from rl2_sb3.memories import LSTM

STEPS, COLUMNS, INPUTS, SIZE = 6, 3, 2, 4


def both() -> tuple[LSTM, nn.LSTM]:
    """Ours, and torch's with the same weights."""
    th.manual_seed(0)
    ours, theirs = LSTM(INPUTS, SIZE).double(), nn.LSTM(INPUTS, SIZE, dtype=th.float64)
    nn.init.normal_(ours.bias)
    weights = {
        "weight_ih_l0": ours.weight_ih.detach(),
        "weight_hh_l0": ours.weight_hh.detach(),
        "bias_ih_l0": ours.bias.detach(),
        "bias_hh_l0": th.zeros_like(ours.bias),
    }
    theirs.load_state_dict(weights)
    return ours, theirs


def test_equals_torch_lstm_with_gradients() -> None:
    ours, theirs = both()
    x = th.randn(STEPS, COLUMNS, INPUTS, dtype=th.float64, requires_grad=True)
    h, c = th.randn(2, COLUMNS, SIZE, dtype=th.float64)

    found, last = ours(x, th.cat([h, c], dim=1))
    expected, (last_h, last_c) = theirs(x, (h[None], c[None]))

    th.testing.assert_close(found, expected)
    th.testing.assert_close(last, th.cat([last_h[0], last_c[0]], dim=1))
    slope = th.randn_like(expected)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")
    parameters = [theirs.get_parameter(name) for name in names]
    th.testing.assert_close(
        th.autograd.grad(found, [x, ours.weight_ih, ours.weight_hh, ours.bias], slope),
        th.autograd.grad(expected, [x, *parameters], slope),
    )


def test_a_reset_forgets_both_parts_of_the_state() -> None:
    ours, _ = both()
    x = th.randn(STEPS, COLUMNS, INPUTS, dtype=th.float64)
    state = th.randn(COLUMNS, 2 * SIZE, dtype=th.float64)
    keep = th.ones(STEPS, COLUMNS, 1, dtype=th.float64)
    keep[4, 1] = 0

    outputs, last = ours(x, state, keep)

    fresh, fresh_last = ours(x[4:, [1]], th.zeros_like(state[[1]]))
    th.testing.assert_close(outputs[4:, [1]], fresh)
    th.testing.assert_close(last[[1]], fresh_last)


@pytest.mark.parametrize("forget_bias", [1.0, 3.0])
def test_initial_weights_are_orthogonal_and_xavier_and_units_remember(forget_bias: float) -> None:
    inputs, size = 10, 64
    lstm = LSTM(inputs, size, forget_bias=forget_bias)

    for block in lstm.weight_hh.detach().chunk(4):
        th.testing.assert_close(block @ block.t(), th.eye(size), atol=1e-5, rtol=0)
    bound = (6 / (inputs + size)) ** 0.5  # each gate's block has its own fans
    assert 0.9 * bound < lstm.weight_ih.abs().max() <= bound
    _, forget, *_ = biases = lstm.bias.detach().chunk(4)
    assert (forget == forget_bias).all()
    assert sum(float(bias.abs().sum()) for bias in biases) == size * forget_bias
