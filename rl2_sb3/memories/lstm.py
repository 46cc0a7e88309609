"""Long short-term memory (Hochreiter & Schmidhuber 1997), with resets inside sequences."""

from __future__ import annotations

import torch as th
from torch import nn
from torch.nn import functional as F

from rl2_sb3.memories.base import Memory


class LSTM(Memory):
    """An LSTM layer: orthogonal recurrent weights, Xavier input weights, zero bias but for gates.

    With ``keep`` 0 where the state is reset, a step is::

        h, c <- keep * h, keep * c
        i, f, o = sigmoid(W x + b + U h), each with weights of its own
        c <- f * c + i * tanh(W_g x + b_g + U_g h)
        h <- o * tanh(c)

    as in ``nn.LSTM`` with its second bias zero. The state is ``h`` and ``c`` side by side, the
    output ``h``. Products are fp32.

    :param inputs: number of input features
    :param size: number of units
    :param forget_bias: initial bias of the forget gates; at 1 units remember at first (Jozefowicz
        et al. 2015)
    """

    def __init__(self, inputs: int, size: int, forget_bias: float = 1.0):
        super().__init__()
        self.size = self.output_size = size
        self.state_size = 2 * size
        self.weight_ih = nn.Parameter(
            th.empty(4 * size, inputs)
        )  # rows in nn.LSTM's order: i f g o
        self.weight_hh = nn.Parameter(th.empty(4 * size, size))
        self.bias = nn.Parameter(th.zeros(4 * size))
        for block in self.weight_ih.chunk(4):
            nn.init.xavier_uniform_(block)
        for block in self.weight_hh.chunk(4):
            nn.init.orthogonal_(block)
        nn.init.constant_(self.bias[size : 2 * size], forget_bias)

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block, see :class:`Memory`."""
        h, c = state.chunk(2, dim=1)
        recurrent, outputs = self.weight_hh.t(), []
        # One product for all inputs; the loop has only the state's.
        for t, inputs in enumerate(F.linear(x, self.weight_ih, self.bias).unbind()):
            if keep is not None:
                h, c = h * keep[t], c * keep[t]
            gates = th.addmm(inputs, h, recurrent)
            i, f, g, o = gates.chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return th.stack(outputs), th.cat([h, c], dim=1)
