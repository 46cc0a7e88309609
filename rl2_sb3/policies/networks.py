"""The networks of a policy: dense layers, the GRU, dense layers; once, twice, or with sums."""

from __future__ import annotations

import torch as th
from stable_baselines3.common.torch_layers import create_mlp
from torch import nn

from rl2_sb3.policies.gru import GRU, Candidate, Precision, dense_products


class RecurrentCore(nn.Module):
    """Layers, the GRU, layers.

    :param layers_after: with ``skip`` they see the features as well as the GRU's state, so that the
        present step can choose what to read from the memory
    """

    def __init__(
        self,
        inputs: int,
        layers_before: list[int],
        layers_after: list[int],
        activation: type[nn.Module],
        size: int,
        candidate: Candidate,
        precision: Precision,
        skip: bool = False,
        memory_steps: int = 0,
    ):
        super().__init__()
        self.skip = skip
        self.precision = precision
        self.before = nn.Sequential(*create_mlp(inputs, -1, layers_before, activation))
        self.gru = GRU((layers_before or [inputs])[-1], size, candidate, precision, memory_steps)
        seen = size + skip * inputs
        self.after = nn.Sequential(*create_mlp(seen, -1, layers_after, activation))
        self.outputs = (layers_after or [seen])[-1]

    def forward(
        self, features: th.Tensor, h: th.Tensor, keep: th.Tensor | None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block.

        :param features: ``(steps * columns, inputs)``
        :param h: ``(columns, size)``
        :param keep: see :func:`rl2_sb3.policies.gru.gru_sequence`
        :return: outputs ``(steps * columns, outputs)`` and the last state
        """
        with dense_products(features.device, self.precision):
            x = self.before(features)
        states = self.gru(x.to(h.dtype).unflatten(0, (-1, len(h))), h, keep)
        seen = states.flatten(0, 1)
        if self.skip:
            seen = th.cat([seen, features], dim=1)
        with dense_products(features.device, self.precision):
            outputs = self.after(seen)
        return outputs.to(h.dtype), states[-1]


class SumsCore(nn.Module):
    """Layers over the features and their sums since the trial's start: a memory without weights.

    Where sums tell most of what a trial has shown (how often each arm was pulled, what it paid), a
    value network learns sooner than one that has to learn to count, at a fraction of the cost.
    """

    LAYERS = (128, 128)

    def __init__(self, inputs: int, activation: type[nn.Module]):
        super().__init__()
        self.after = nn.Sequential(*create_mlp(2 * inputs, -1, list(self.LAYERS), activation))
        self.size = inputs
        self.outputs = self.LAYERS[-1]

    def forward(
        self, features: th.Tensor, h: th.Tensor, keep: th.Tensor | None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block: see :class:`RecurrentCore`; ``h`` and the state are the sums."""
        x = features.view(-1, *h.shape)
        if keep is None:
            sums = h + x.cumsum(dim=0)
        else:
            steps = []
            for step, kept in zip(x, keep, strict=True):
                h = h * kept + step
                steps.append(h)
            sums = th.stack(steps)
        seen = th.cat([x, sums.sign() * sums.abs().log1p()], dim=2)
        return self.after(seen.flatten(0, 1)), sums[-1]


class Cores(nn.Module):
    """One core for the policy, and one for the value unless they share it."""

    def __init__(self, policy: RecurrentCore, value: RecurrentCore | SumsCore | None):
        super().__init__()
        self.policy = policy
        self.value = value
        self.latent_dim_pi = policy.outputs
        self.latent_dim_vf = policy.outputs if value is None else value.outputs
