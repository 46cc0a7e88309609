"""The networks of a policy: dense layers, the GRU, dense layers; once, or twice."""

from __future__ import annotations

import torch as th
from stable_baselines3.common.torch_layers import create_mlp
from torch import nn

from rl2_sb3.policies.gru import GRU, Candidate, Precision


class RecurrentCore(nn.Module):
    """Layers, the GRU, layers."""

    def __init__(
        self,
        inputs: int,
        layers_before: list[int],
        layers_after: list[int],
        activation: type[nn.Module],
        size: int,
        candidate: Candidate,
        precision: Precision,
    ):
        super().__init__()
        self.before = nn.Sequential(*create_mlp(inputs, -1, layers_before, activation))
        self.gru = GRU((layers_before or [inputs])[-1], size, candidate, precision)
        self.after = nn.Sequential(*create_mlp(size, -1, layers_after, activation))
        self.outputs = (layers_after or [size])[-1]

    def forward(
        self, features: th.Tensor, h: th.Tensor, keep: th.Tensor | None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block.

        :param features: ``(steps * columns, inputs)``
        :param h: ``(columns, size)``
        :param keep: see :func:`rl2_sb3.policies.gru.gru_sequence`
        :return: outputs ``(steps * columns, outputs)`` and the last state
        """
        states = self.gru(self.before(features).unflatten(0, (-1, len(h))), h, keep)
        return self.after(states.flatten(0, 1)), states[-1]


class Cores(nn.Module):
    """One core for the policy, and one for the value unless they share it."""

    def __init__(self, policy: RecurrentCore, value: RecurrentCore | None):
        super().__init__()
        self.policy = policy
        self.value = value
        self.latent_dim_pi = self.latent_dim_vf = policy.outputs
