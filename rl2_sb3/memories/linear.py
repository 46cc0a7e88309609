"""A gated linear recurrence, whose training runs in parallel over time, with resets inside.

The gates see the inputs alone, so that the state ``h`` is a linear function of its past, each unit
for itself. With ``keep`` 0 where the state is reset, a layer's step is::

    u = norm(x)
    a, c = sigmoid(W_a u + b_a), W_c u + b_c
    h <- a * keep * h + sqrt(1 - a²) * c
    x <- x + h
    x <- x + W_d (silu(W_g v + b_g) * (W_u v + b_u)) + b_d,  v = norm(x)

after minGRU (Feng et al. 2024), with the input's scale of RG-LRU (De et al. 2024). The last two
lines are a feed-forward part: a linear recurrence alone could compute little of its past.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch as th
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from rl2_sb3.config import Precision
from rl2_sb3.memories.base import Memory
from rl2_sb3.memories.products import dense_products


def _in_chunks(decay: th.Tensor, drive: th.Tensor, h: th.Tensor) -> th.Tensor:
    """``h <- decay[t] * h + drive[t]``, all states.

    In chunks of the square root of the steps: all chunks at once, as if from a state of zero; then
    what each hands to the next; then all chunks at once, from their true states.
    """
    steps, columns, size = drive.shape
    length = math.isqrt(steps)
    whole = steps // length * length
    states = th.empty_like(drive)
    shape = (-1, length, columns, size)
    a, b, out = (x[:whole].view(shape).unbind(1) for x in (decay, drive, states))
    total, product = b[0], a[0]
    for t in range(1, length):
        total, product = th.addcmul(b[t], a[t], total), product * a[t]
    before = th.empty_like(total)
    for start, each, kept in zip(before, total, product, strict=True):
        start.copy_(h)
        h = th.addcmul(each, kept, h)
    for t in range(length):
        before = th.addcmul(b[t], a[t], before, out=out[t])
    h = states[whole - 1]
    for t in range(whole, steps):  # what is left is shorter than a chunk
        h = th.addcmul(drive[t], decay[t], h, out=states[t])
    return states


class _Scan(th.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decay: th.Tensor, drive: th.Tensor, h: th.Tensor) -> th.Tensor:
        states = _in_chunks(decay, drive, h)
        ctx.save_for_backward(decay, h, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: th.Tensor) -> tuple[th.Tensor, ...]:
        decay, h, states = ctx.saved_tensors
        # The same recurrence backwards: a step's gradient is its own and the next one's, decayed.
        later = th.cat([th.zeros_like(decay[:1]), decay[1:].flip(0)])
        grads = _in_chunks(later, slope.flip(0), th.zeros_like(h)).flip(0)
        before = th.cat([h[None], states[:-1]])
        return grads * before, grads, grads[0] * decay[0]


def scan(decay: th.Tensor, drive: th.Tensor, h: th.Tensor) -> th.Tensor:
    """The states of ``h <- decay[t] * h + drive[t]``. First-order gradients only.

    Two times the square root of the steps is the number of operations one after the other.

    :param decay: ``(steps, columns, size)``; 0 forgets
    :param drive: the same shape
    :param h: the state before the first step, ``(columns, size)``
    :return: the state after each step, ``(steps, columns, size)``
    """
    if th.onnx.is_in_onnx_export():  # which knows neither functions of our own nor writes in place
        steps = []
        for kept, each in zip(decay.unbind(), drive.unbind(), strict=True):
            h = kept * h + each
            steps.append(h)
        return th.stack(steps)
    states: th.Tensor = _Scan.apply(decay.contiguous(), drive.contiguous(), h)  # type: ignore[no-untyped-call]
    return states


class _Layer(nn.Module):
    """A recurrence over a residual stream, and a feed-forward part."""

    def __init__(self, size: int, memory_steps: int):
        super().__init__()
        self.norm, self.norm_up = nn.LayerNorm(size), nn.LayerNorm(size)
        self.gates = nn.Linear(size, 2 * size)
        self.up, self.down = nn.Linear(size, 2 * size), nn.Linear(size, size)
        for layer in (self.gates, self.up, self.down):
            for block in th.split(layer.weight, size):
                nn.init.xavier_uniform_(block)
            nn.init.zeros_(layer.bias)
        if memory_steps > 1:
            with th.no_grad():
                self.gates.bias[:size].uniform_(1, memory_steps - 1).log_()

    def forward(
        self, x: th.Tensor, h: th.Tensor, keep: th.Tensor | None, products: Any
    ) -> tuple[th.Tensor, th.Tensor]:
        with products:
            a, c = self.gates(self.norm(x)).to(x.dtype).chunk(2, dim=2)
        decay = a.sigmoid()
        drive = ((1 + decay) * (-a).sigmoid()).sqrt() * c
        states = scan(decay if keep is None else decay * keep, drive, h)
        x = x + states
        with products:
            gate, up = self.up(self.norm_up(x)).chunk(2, dim=2)
            x = x + self.down(F.silu(gate) * up).to(x.dtype)
        return x, states[-1]


class Linear(Memory):
    """Layers of a gated linear recurrence, each with a feed-forward part after it; see the module.

    For trials of thousands of steps: learning takes the time of some matrix products over whole
    blocks, where a GRU goes through them step by step. Its state is each layer's ``h``, side by
    side; its output the last layer's, normalised.

    :param inputs: number of input features
    :param size: number of units
    :param layers: number of layers
    :param precision: of the products; the parameters, the states and their recurrence stay fp32
    :param memory_steps: at first the units forget at different speeds, over 2 to so many steps (see
        :class:`GRU`); by default all forget half at each step
    :raises ValueError: less than one layer or two units, or ``memory_steps`` of 1 or less than 0
    """

    partial_resets: ClassVar[bool] = False

    def __init__(
        self,
        inputs: int,
        size: int,
        layers: int = 2,
        precision: Precision = "fp32",
        memory_steps: int = 0,
    ):
        if layers < 1:
            raise ValueError(f"layers={layers}: one or more.")
        if size < 2:
            raise ValueError(
                f"hidden_size={size}: two or more, since they are normalised together."
            )
        if memory_steps < 0 or memory_steps == 1:
            raise ValueError(f"memory_steps={memory_steps}: 0 for none, or 2 and more.")
        super().__init__()
        self.precision: Precision = precision
        self.state_size, self.output_size = layers * size, size
        self.embed = nn.Linear(inputs, size)
        nn.init.xavier_uniform_(self.embed.weight)
        nn.init.zeros_(self.embed.bias)
        self.layers = nn.ModuleList(_Layer(size, memory_steps) for _ in range(layers))
        self.norm = nn.LayerNorm(size)

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block, see :class:`Memory`."""
        products = dense_products(x.device, self.precision)
        with products:
            x = self.embed(x).to(state.dtype)
        last = []
        for layer, h in zip(self.layers, state.chunk(len(self.layers), dim=1), strict=True):
            x, h = layer(x, h, keep, products)
            last.append(h)
        return self.norm(x), th.cat(last, dim=1)
