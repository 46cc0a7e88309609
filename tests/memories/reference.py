"""The recurrence written plainly, for autograd to differentiate as often as it likes."""

from __future__ import annotations

from collections.abc import Callable

import torch as th

from rl2_sb3.memories import Candidate, GRUWeights

Round = Callable[[th.Tensor], th.Tensor]


def plain_gru(
    x: th.Tensor,
    h: th.Tensor,
    keep: th.Tensor | None,
    weights: GRUWeights,
    candidate: Candidate = "tanh",
    precision: str = "fp32",
    round_factor: Round = lambda factor: factor,
) -> th.Tensor:
    """What :func:`rl2_sb3.memories.gru_sequence` computes; ``round_factor`` is for its factors."""
    weight_ih, weight_hh, bias = weights
    activation = th.tanh if candidate == "tanh" else th.relu
    u_r, u_z, u_c = round_factor(weight_hh).chunk(3)
    states = []
    for t in range(len(x)):
        if keep is not None:
            h = keep[t] * h
        w_r, w_z, w_c = (round_factor(x[t]) @ round_factor(weight_ih).t() + bias).chunk(3, dim=1)
        from_h = round_factor(h)
        r, z = th.sigmoid(w_r + from_h @ u_r.t()), th.sigmoid(w_z + from_h @ u_z.t())
        c = activation(w_c + r * (from_h @ u_c.t()))
        h = (1 - z) * c + z * h
        states.append(h)
    return th.stack(states)
