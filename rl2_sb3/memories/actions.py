"""Memories that treat all actions alike: a GRU cell for each, and sums for each.

In a bandit nothing tells one arm from another but what it has paid. A network that treats them
alike learns from each arm what it would otherwise have to learn for each, and goes on with any
number of them (Kirsch et al. 2022, "Introducing symmetries to black box meta reinforcement
learning").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch as th
from torch import nn

from rl2_sb3.config import Precision
from rl2_sb3.memories.base import Memory
from rl2_sb3.memories.gru import GRU
from rl2_sb3.memories.sums import logarithms, running_sums
from rl2_sb3.trials.spaces import PRIVILEGED

OF_ACTIONS = ("action", "action_reward")
"""The parts of a step's features that have one number for each action."""

WIDTH = 32
"""Units of the layers of value networks that see a set, for each of its members."""


def others(inputs: int, told: Sequence[slice]) -> tuple[list[slice], int]:
    """Where the inputs stand that are in none of these parts, and how many they are."""
    begins = [0, *sorted(part.stop for part in told)]
    ends = [*sorted(part.start for part in told), inputs]
    between = [slice(*both) for both in zip(begins, ends, strict=True)]
    return between, sum(part.stop - part.start for part in between)


def joined(x: th.Tensor, parts: Sequence[slice]) -> th.Tensor:
    """Some parts of the features of a block, side by side."""
    return th.cat([x[..., part] for part in parts], dim=2)


class Parts:
    """Where each action's own features stand among the inputs, and those that concern all actions.

    Of a privileged observation the first numbers are taken to be of one action each, if there are
    so many: a bandit's are its arms' means.

    :param inputs: number of input features
    :param parts: where each part of a step stands among them
    """

    def __init__(self, inputs: int, parts: Mapping[str, slice]):
        self.actions = len(range(inputs)[parts["action"]])
        self.own = [parts[name] for name in OF_ACTIONS if name in parts]
        if PRIVILEGED in parts:  # of a value network
            known = parts[PRIVILEGED]
            if known.stop - known.start >= self.actions:
                self.own.append(slice(known.start, known.start + self.actions))
        self.between, self.common = others(inputs, self.own)
        self.width = len(self.own) + self.common

    def split(
        self, x: th.Tensor, begun: th.Tensor, keep: th.Tensor | None
    ) -> tuple[th.Tensor, th.Tensor]:
        """The features of a block. A trial's first step follows no action: there it is 0.

        :param x: ``(steps, columns, inputs)``
        :param begun: 0 where the block's first step is a trial's first, else 1: ``(columns, 1)``
        :param keep: see :class:`Memory`
        :return: each action's own, ``(steps, columns, actions, kinds)``, and those of all actions,
            ``(steps, columns, common)``
        """
        later = th.cat([begun[None], th.ones_like(x[1:, :, :1])])
        if keep is not None:
            later = later * keep
        action, *rest = (x[..., part] for part in self.own)
        own = th.stack([action * later, *rest], dim=3)
        return own, joined(x, self.between)

    def beside(self, own: th.Tensor, common: th.Tensor) -> th.Tensor:
        """Each action's own features and beside them those of all, one after the other."""
        return th.cat([own, common[:, :, None].expand(-1, -1, self.actions, -1)], dim=3)


class ActionGRU(Memory):
    """A GRU cell for each action, all with the same weights.

    An action's cell sees whether it was the last one taken, and its reward then, and what all see:
    the reward, whether the episode is over, the observation. Its output, from which the policy
    makes the action's logit, comes from its own cell and the mean of all cells::

        h_a <- GRU(h_a, x_a)
        y_a = relu(W h_a + V mean(h) + b)

    So to swap two actions in all steps swaps their probabilities, and an agent goes on with any
    number of actions as it is (``--init``). For discrete actions that differ in nothing before the
    trial, such as a bandit's arms. Its value network should be one that does not tell them apart
    either, :class:`ActionSums`.

    :param inputs: number of input features
    :param size: units of each cell
    :param parts: where each part of a step stands among the inputs
    :param precision: of the cells' products
    :param memory_steps: see :class:`GRU`
    :raises ValueError: see :class:`GRU`
    """

    of_actions: ClassVar[bool] = True

    def __init__(
        self,
        inputs: int,
        size: int,
        parts: Mapping[str, slice],
        precision: Precision = "fp32",
        memory_steps: int = 0,
    ):
        super().__init__()
        self.parts, self.size = Parts(inputs, parts), size
        self.output_size = self.parts.actions * size
        self.state_size = self.output_size + 1  # 1 where the trial has begun
        self.cell = GRU(self.parts.width, size, precision=precision, memory_steps=memory_steps)
        self.own, self.all = nn.Linear(size, size), nn.Linear(size, size, bias=False)
        initialise(self.own, self.all)

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block, see :class:`Memory`."""
        columns, actions = state.shape[0], self.parts.actions
        cells, begun = th.split(state, [self.output_size, 1], dim=1)
        inputs = self.parts.beside(*self.parts.split(x, begun, keep))
        if keep is not None:
            keep = keep.expand(-1, -1, actions).reshape(len(x), -1, 1)
        states, last = self.cell(
            inputs.flatten(1, 2), cells.reshape(columns * actions, self.size), keep
        )
        states = th.unflatten(states, 1, (columns, actions))
        outputs = th.relu(self.own(states) + self.all(states.mean(dim=2, keepdim=True)))
        last = last.reshape(columns, self.output_size)
        return outputs.flatten(2), th.cat([last, th.ones_like(begun)], dim=1)


class ActionSums(Memory):
    """For value networks: sums of each action's features since the trial's start, seen as a set.

    The same dense layers for each action, over its features, their sums (on a logarithmic scale)
    and those of all actions; of the actions' outputs the mean and the maximum; then a dense layer::

        u_a = relu(W2 relu(W1 x_a))
        y = relu(W3 (mean(u), max(u), x) + b)

    It learns what a bandit is worth from far fewer steps than layers over all sums side by side.

    :param inputs: number of input features
    :param size: of no effect: the layers for each action have 32 units, the last one 64
    :param parts: where each part of a step stands among the inputs
    """

    own_layers: ClassVar[bool] = True

    def __init__(self, inputs: int, size: int, parts: Mapping[str, slice]):
        super().__init__()
        self.parts = Parts(inputs, parts)
        self.state_size, self.output_size = inputs + 1, 2 * WIDTH  # 1 where the trial has begun
        self.first, self.second = nn.Linear(2 * self.parts.width, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.all = nn.Linear(2 * WIDTH + 2 * self.parts.common, 2 * WIDTH)
        initialise(self.first, self.second, self.all)

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block, see :class:`Memory`."""
        sums, begun = th.split(state, [state.shape[1] - 1, 1], dim=1)
        own, common = self.parts.split(x, begun, keep)
        totals = running_sums(th.cat([own.flatten(2), common], dim=2), sums, keep)
        numbers = [own.shape[2] * own.shape[3], common.shape[2]]
        own_sums, common_sums = th.split(logarithms(totals), numbers, dim=2)
        own = th.cat([own, own_sums.view_as(own)], dim=3)
        common = th.cat([common, common_sums], dim=2)
        each = th.relu(self.first(self.parts.beside(own, common)))
        each = th.relu(self.second(each))
        outputs = self.all(th.cat([each.mean(dim=2), each.amax(dim=2), common], dim=2))
        return th.relu(outputs), th.cat([totals[-1], th.ones_like(begun)], dim=1)


def initialise(*layers: nn.Linear) -> None:
    """Xavier weights and zero biases."""
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
