"""The networks of a policy: dense layers, the GRU, dense layers; once, twice, or with sums."""

from __future__ import annotations

import torch as th
from stable_baselines3.common.torch_layers import create_mlp
from torch import nn
from torch.nn import functional as F

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
        x = features
        if len(self.before):
            with dense_products(features.device, self.precision):
                x = self.before(features)
        states: th.Tensor = self.gru(x.to(h.dtype).view(-1, len(h), x.shape[1]), h, keep)
        outputs = states.flatten(0, 1)
        if self.skip or len(self.after):
            with dense_products(features.device, self.precision):
                outputs = self._read(outputs, features)
        return outputs.to(h.dtype), states[-1]

    def _read(self, states: th.Tensor, features: th.Tensor) -> th.Tensor:
        """The layers after the memory."""
        if not self.skip:
            outputs: th.Tensor = self.after(states)
            return outputs
        if not len(self.after):
            return th.cat([states, features], dim=1)
        # The first layer without its input side by side: that would be the largest tensor of all,
        # and features that need no gradient would get one.
        first, *others = self.after
        assert isinstance(first, nn.Linear)
        weights = th.split(first.weight, [states.shape[1], features.shape[1]], dim=1)
        outputs = F.linear(states, weights[0], first.bias) + F.linear(features, weights[1])
        for layer in others:
            outputs = layer(outputs)
        return outputs


class SumsCore(nn.Module):
    """Layers over the features and their sums since the trial's start: a memory without weights.

    Where sums tell most of what a trial has shown (how often each arm was pulled, what it paid), a
    value network learns sooner than one that has to learn to count, at a fraction of the cost.
    """

    LAYERS = (128, 128)

    def __init__(self, inputs: int, activation: type[nn.Module], precision: Precision = "fp32"):
        super().__init__()
        self.after = nn.Sequential(*create_mlp(2 * inputs, -1, list(self.LAYERS), activation))
        self.size = inputs
        self.precision = precision
        self.outputs = self.LAYERS[-1]

    @staticmethod
    def see(features: th.Tensor, sums: th.Tensor, keep: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """What the layers see of a block; no parameter has a part in it.

        :param features: ``(steps * columns, inputs)``
        :param sums: of the steps before the block, ``(columns, inputs)``
        :param keep: 0 where the sums begin anew after the block's first step, else 1:
            ``(steps, columns, 1)``
        :return: features and sums on a logarithmic scale, ``(steps * columns, 2 * inputs)``, and
            the last sums
        """
        x = features.view(-1, *sums.shape)
        if not (keep[1:] == 0).any():
            totals = sums + x.cumsum(dim=0)
        else:
            steps = []
            for step, kept in zip(x, keep, strict=True):
                sums = sums * kept + step
                steps.append(sums)
            totals = th.stack(steps)
        seen = th.cat([x, totals.sign() * totals.abs().log1p()], dim=2)
        return seen.flatten(0, 1), totals[-1]

    def forward(self, seen: th.Tensor) -> th.Tensor:
        """Outputs ``(steps * columns, outputs)`` for what :meth:`see` gave."""
        with dense_products(seen.device, self.precision):
            outputs: th.Tensor = self.after(seen)
        return outputs.float()


class Cores(nn.Module):
    """One core for the policy, and one for the value unless they share it."""

    def __init__(self, policy: RecurrentCore, value: RecurrentCore | SumsCore | None):
        super().__init__()
        self.policy = policy
        self.value = value
        self.latent_dim_pi = policy.outputs
        self.latent_dim_vf = policy.outputs if value is None else value.outputs
