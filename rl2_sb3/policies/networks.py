"""The networks of a policy: dense layers, a memory, dense layers; once, or twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import create_mlp
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm as add_weight_norm

from rl2_sb3.config import Precision
from rl2_sb3.memories import Memory
from rl2_sb3.memories.products import dense_products


class Core(nn.Module):
    """Layers, a memory, layers.

    :param before: layers before the memory
    :param memory: over what they give
    :param inputs: number of features
    :param layers_after: widths of the layers after the memory
    :param skip: they see the features as well as the memory's output, so that the present step can
        choose what to read from the memory
    """

    def __init__(
        self,
        before: nn.Sequential,
        memory: Memory,
        inputs: int,
        layers_after: Sequence[int],
        activation: type[nn.Module],
        precision: Precision,
        skip: bool = False,
    ):
        super().__init__()
        self.skip = skip
        self.precision = precision
        self.before = before
        self.memory = memory
        seen = memory.output_size + skip * inputs
        self.after = nn.Sequential(*create_mlp(seen, -1, list(layers_after), activation))
        self.outputs = layers_after[-1] if layers_after else seen

    @property
    def fixed(self) -> bool:
        """Whether no parameter has a part in :meth:`remember`."""
        return self.memory.fixed and not len(self.before)

    def forward(
        self, features: th.Tensor, state: th.Tensor, keep: th.Tensor | None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block.

        :param features: ``(steps * columns, inputs)``
        :param state: of the memory, ``(columns, state_size)``
        :param keep: see :class:`Memory`
        :return: outputs ``(steps * columns, outputs)`` and the last state
        """
        remembered, last = self.remember(features, state, keep)
        return self.read(remembered, features).to(state.dtype), last

    def remember(
        self, features: th.Tensor, state: th.Tensor, keep: th.Tensor | None
    ) -> tuple[th.Tensor, th.Tensor]:
        """The layers before the memory and the memory itself.

        :return: the memory's outputs, ``(steps * columns, output_size)``, and the last state
        """
        x = features
        if len(self.before):
            with dense_products(features.device, self.precision):
                x = self.before(features)
        block = x.to(state.dtype).view(-1, state.shape[0], x.shape[1])
        outputs, last = self.memory(block, state, keep)
        return outputs.flatten(0, 1), last

    def read(self, remembered: th.Tensor, features: th.Tensor) -> th.Tensor:
        """The layers after the memory: ``(steps * columns, outputs)``."""
        if not self.skip and not len(self.after):
            return remembered
        with dense_products(features.device, self.precision):
            return self._read(remembered, features)

    def _read(self, remembered: th.Tensor, features: th.Tensor) -> th.Tensor:
        if not self.skip:
            outputs: th.Tensor = self.after(remembered)
            return outputs
        if not len(self.after):
            return th.cat([remembered, features], dim=1)
        # The first layer without its input side by side: that would be the largest tensor of all,
        # and features that need no gradient would get one.
        first, *others = self.after
        assert isinstance(first, nn.Linear)
        weights = th.split(first.weight, [remembered.shape[1], features.shape[1]], dim=1)
        outputs = F.linear(remembered, weights[0], first.bias) + F.linear(features, weights[1])
        for layer in others:
            outputs = layer(outputs)
        return outputs


class Cores(nn.Module):
    """One core for the policy, and one for the value unless they share it."""

    def __init__(self, policy: Core, value: Core | None):
        super().__init__()
        self.policy = policy
        self.value = value
        self.latent_dim_pi = policy.outputs
        self.latent_dim_vf = policy.outputs if value is None else value.outputs


class ActionHead(nn.Module):
    """A logit for each action, from its own part of a memory's outputs.

    :param inputs: numbers of all parts together
    """

    def __init__(self, inputs: int, actions: spaces.Space[Any]):
        super().__init__()
        assert isinstance(actions, spaces.Discrete)  # as memories that see single actions need them
        self.size = inputs // int(actions.n)
        self.own = nn.Linear(self.size, 1)

    def forward(self, outputs: th.Tensor) -> th.Tensor:
        """Logits ``(rows, actions)`` of outputs ``(rows, actions * size)``."""
        logits: th.Tensor = self.own(th.unflatten(outputs, 1, (-1, self.size)))
        return logits.squeeze(2)


def initialise(networks: nn.Module, weight_norm: bool) -> None:
    """Xavier weights and zero biases; memories have initialised their own parts.

    :param weight_norm: of all weight matrices
    """
    memories = [module for module in networks.modules() if isinstance(module, Memory)]
    theirs = {id(part) for memory in memories for part in memory.modules()}
    for module in list(networks.modules()):
        if isinstance(module, (nn.Linear, nn.Conv2d)) and id(module) not in theirs:
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if weight_norm:
            for name in ("weight", "weight_ih", "weight_hh"):
                weight = getattr(module, name, None)
                if isinstance(weight, nn.Parameter) and weight.dim() > 1:
                    add_weight_norm(module, name)
