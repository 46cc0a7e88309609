"""The recurrence: a gated recurrent unit over whole sequences, with resets inside them.

``nn.GRU`` cannot reset its state inside a sequence, and ``pack_sequence`` costs half the speed.
Here one loop runs over time with one matrix product a step; the backward pass collects the gates'
gradients and gets each weight's gradient from one large product at the end.

With ``r``, ``z`` the reset and update gates and ``keep`` 0 where the state is reset, a step is::

    h <- keep * h
    r, z = sigmoid(W_r x + b_r + U_r h), sigmoid(W_z x + b_z + U_z h)
    c = activation(W_c x + b_c + r * (U_c h))
    h <- (1 - z) * c + z * h

as in ``nn.GRU`` with its second bias zero; the paper has ``activation = relu``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch as th
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from rl2_sb3.config import Candidate, Precision
from rl2_sb3.memories import native, products
from rl2_sb3.memories.base import Memory
from rl2_sb3.memories.native import GRUWeights


def _gates(gates: th.Tensor) -> tuple[tuple[th.Tensor, ...], ...]:
    """Each step's views of r and z together, r, z, and c."""
    size = gates.shape[2] // 3
    r, z, c = th.split(gates, size, dim=2)
    return gates[..., : 2 * size].unbind(), r.unbind(), z.unbind(), c.unbind()


class _GRUSequence(th.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: th.Tensor,
        h: th.Tensor,
        keep: th.Tensor | None,
        weight_ih: th.Tensor,
        weight_hh: th.Tensor,
        bias: th.Tensor,
        candidate: Candidate,
        precision: Precision,
    ) -> th.Tensor:
        (steps, columns, _), size = x.shape, h.shape[1]
        multiply = products.Multiply(precision, x.device)
        # The gates' inputs; the loop replaces them by the gates r, z, c.
        gates = multiply(x.flatten(0, 1), multiply.cast(weight_ih.t())).view(steps, columns, -1)
        gates += bias
        u_rz, u_c = (multiply.cast(u.t()) for u in th.split(weight_hh, [2 * size, size]))
        output = x.new_empty(steps, columns, size)
        uc_h = x.new_empty(steps, columns, size)
        before = x.new_empty(steps if keep is not None else 1, columns, size)  # h after resets
        before[0] = h
        # The loop's views are made at once: making them one by one costs as much as computing.
        views = zip(*_gates(gates), uc_h.unbind(), output.unbind(), strict=True)
        for t, (rz, r, z, c, uc, out) in enumerate(views):
            if keep is not None:
                h = th.mul(h, keep[t], out=before[t])
            left = multiply.cast(h)
            multiply.add_to(rz, left, u_rz)
            multiply.into(uc, left, u_c)
            rz.sigmoid_()
            c.addcmul_(r, uc)
            _ = c.tanh_() if candidate == "tanh" else c.relu_()
            h = th.lerp(c, h, z, out=out)
        ctx.candidate, ctx.precision = candidate, precision
        ctx.save_for_backward(x, keep, weight_ih, weight_hh, gates, uc_h, before, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: th.Tensor) -> tuple[th.Tensor | None, ...]:
        x, keep, weight_ih, weight_hh, gates, uc_h, before, output = ctx.saved_tensors
        size = output.shape[2]
        multiply = products.Multiply(ctx.precision, x.device)
        u_rz = multiply.cast(weight_hh[: 2 * size])
        u_c = multiply.cast(weight_hh[2 * size :])
        grad_gates = th.empty_like(gates)  # with respect to the gates' inputs
        grad_uc_h = th.empty_like(uc_h)
        grad_h = th.zeros_like(output[0])
        history = before.unbind() if keep is not None else (before[0], *output[:-1].unbind())
        views = zip(
            *_gates(gates),
            *_gates(grad_gates),
            uc_h.unbind(),
            grad_uc_h.unbind(),
            history,
            grad_output.unbind(),
            strict=True,
        )
        for t, step in reversed(list(enumerate(views))):
            rz, r, z, c, g_rz, g_r, g_z, g_c, uc, g_uc, h, g_out = step
            grad_h += g_out
            kept = grad_h * z
            th.mul(grad_h, h - c, out=g_z)
            grad_c = grad_h.sub_(kept)
            if ctx.candidate == "tanh":
                th.ops.aten.tanh_backward.grad_input(grad_c, c, grad_input=g_c)
            else:
                th.mul(grad_c, c > 0, out=g_c)
            th.mul(g_c, r, out=g_uc)
            th.mul(g_c, uc, out=g_r)
            th.ops.aten.sigmoid_backward.grad_input(g_rz, rz, grad_input=g_rz)
            multiply.add_to(kept, multiply.cast(g_rz), u_rz)
            multiply.add_to(kept, multiply.cast(g_uc), u_c)
            grad_h = kept if keep is None else kept.mul_(keep[t])
        flat_gates, flat_x = grad_gates.flatten(0, 1), x.flatten(0, 1)
        states = before if keep is not None else th.cat([before, output[:-1]])
        cast_history = multiply.cast(states.flatten(0, 1))
        grad_weight_hh = th.empty_like(weight_hh)
        grad_weight_hh[: 2 * size] = multiply(flat_gates[:, : 2 * size].t(), cast_history)
        grad_weight_hh[2 * size :] = multiply(grad_uc_h.flatten(0, 1).t(), cast_history)
        needs = ctx.needs_input_grad
        return (
            multiply(flat_gates, multiply.cast(weight_ih)).view_as(x) if needs[0] else None,
            grad_h if needs[1] else None,
            None,
            multiply(flat_gates.t(), multiply.cast(flat_x)) if needs[3] else None,
            grad_weight_hh if needs[4] else None,
            flat_gates.sum(0) if needs[5] else None,
            None,
            None,
        )


def gru_sequence(
    x: th.Tensor,
    h: th.Tensor,
    keep: th.Tensor | None,
    weights: GRUWeights,
    candidate: Candidate = "tanh",
    precision: Precision = "fp32",
) -> th.Tensor:
    """Run the recurrence over a block. First-order gradients only.

    In C++ where that serves (:mod:`rl2_sb3.memories.native`), else in Python.

    :param x: inputs, ``(steps, columns, inputs)``
    :param h: the state before the first step, ``(columns, size)``
    :param keep: 0 where the state is reset before a step, else 1: ``(steps, columns, 1)``, or
        ``(steps, columns, size)`` where only a part is reset; ``None`` for no reset
    :param precision: of the products' factors; sums, states and gradients keep ``x``'s type
    :return: the state after each step, ``(steps, columns, size)``
    """
    if th.onnx.is_in_onnx_export():
        return plain_sequence(x, h, keep, weights, candidate)
    if native.serves(x, h):
        kind = native.FP32
        if precision == "bf16":
            kind = native.BF16 if products.has_bf16(x.device) else native.ROUNDED
        return native.native_sequence(x, h, keep, weights, candidate == "relu", kind)
    return python_sequence(x, h, keep, weights, candidate, precision)


def python_sequence(
    x: th.Tensor,
    h: th.Tensor,
    keep: th.Tensor | None,
    weights: GRUWeights,
    candidate: Candidate = "tanh",
    precision: Precision = "fp32",
) -> th.Tensor:
    """:func:`gru_sequence` in Python, on any device and in any type."""
    states: th.Tensor = _GRUSequence.apply(  # type: ignore[no-untyped-call]
        x, h, keep, *weights, candidate, precision
    )
    return states


def plain_sequence(
    x: th.Tensor,
    h: th.Tensor,
    keep: th.Tensor | None,
    weights: GRUWeights,
    candidate: Candidate = "tanh",
) -> th.Tensor:
    """:func:`gru_sequence` for exporters, which know no functions of our own, nor writes in place.

    Products are fp32.
    """
    activation = th.tanh if candidate == "tanh" else th.relu
    states = []
    for t, inputs in enumerate(F.linear(x, weights.input, weights.bias).unbind()):
        h = h if keep is None else h * keep[t]
        of_x = inputs.chunk(3, dim=1)
        of_h = F.linear(h, weights.recurrent).chunk(3, dim=1)
        r, z = (th.sigmoid(a + b) for a, b in zip(of_x[:2], of_h[:2], strict=True))
        c = activation(of_x[2] + r * of_h[2])
        h = (1 - z) * c + z * h
        states.append(h)
    return th.stack(states)


class GRU(Memory):
    """A GRU layer: orthogonal recurrent weights, Xavier input weights, zero bias.

    Its state is its output.

    :param inputs: number of input features
    :param size: number of units
    :param candidate: activation of the candidate state
    :param precision: of the products; the parameters stay fp32
    :param memory_steps: at first the units forget at different speeds, over 2 to so many steps, by
        their update gates' biases (Tallec & Ollivier 2018); by default all forget half at each step
    :raises ValueError: no such candidate, or ``memory_steps`` of 1 or less than 0
    """

    partial_resets: ClassVar[bool] = True

    def __init__(
        self,
        inputs: int,
        size: int,
        candidate: Candidate = "tanh",
        precision: Precision = "fp32",
        memory_steps: int = 0,
    ):
        if candidate not in ("tanh", "relu"):
            raise ValueError(f"candidate={candidate!r}: use 'tanh' or 'relu'.")
        if memory_steps < 0 or memory_steps == 1:
            raise ValueError(f"memory_steps={memory_steps}: 0 for none, or 2 and more.")
        super().__init__()
        self.size = self.state_size = self.output_size = size
        self.candidate, self.precision = candidate, precision
        self.weight_ih = nn.Parameter(th.empty(3 * size, inputs))
        self.weight_hh = nn.Parameter(th.empty(3 * size, size))
        self.bias = nn.Parameter(th.zeros(3 * size))
        for block in self.weight_ih.chunk(3):
            nn.init.xavier_uniform_(block)
        for block in self.weight_hh.chunk(3):
            nn.init.orthogonal_(block)
        if memory_steps > 1:
            with th.no_grad():
                self.bias[size : 2 * size].uniform_(1, memory_steps - 1).log_()

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block, see :class:`Memory`."""
        weights = GRUWeights(self.weight_ih, self.weight_hh, self.bias)
        states = gru_sequence(x, state, keep, weights, self.candidate, self.precision)
        return states, states[-1]
