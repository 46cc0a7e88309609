"""Sums for each state and action of a small MDP, seen as a set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch as th
from torch import nn

from rl2_sb3.memories.actions import OF_ACTIONS, WIDTH, initialise, joined, others
from rl2_sb3.memories.base import Memory
from rl2_sb3.memories.sums import logarithms, running_sums

PAIRS = ("state_action", "state_action_reward")


class PairSums(Memory):
    """For value networks in small MDPs: what each action has led to in each state, seen as a set.

    Of each state and action it has how often they occurred since the trial's start, the rewards'
    sum, their mean as if there had been one reward of 0 more, whether the state is the present
    one, and what is the same for all (with sums on a logarithmic scale, and the number of steps
    since the episode's start). The same dense layers go over all pairs, the same over all states,
    then one over the whole::

        u_sa = relu(W2 relu(W1 x_sa))
        u_s = relu(W3 (mean_a(u_sa), max_a(u_sa), [s is present]))
        y = relu(W4 (mean_s(u_s), max_s(u_s), u_present, x))

    Where states and actions are drawn alike, it learns what a state is worth from far fewer steps
    than layers over all sums side by side, which can tell pairs apart that differ in nothing.

    :param inputs: number of input features
    :param size: of no effect: the layers for each pair and state have 32 units, the last one 64
    :param parts: where each part of a step stands among the inputs, the policy's ``state_action``
        products among them
    :raises ValueError: without these
    """

    own_layers: ClassVar[bool] = True

    def __init__(self, inputs: int, size: int, parts: Mapping[str, slice]):
        super().__init__()
        if not all(name in parts for name in PAIRS):
            raise ValueError(
                "The memory 'pair-sums' is for small MDPs: it needs state_action=True."
            )
        self.counts, self.rewards = (parts[name] for name in PAIRS)
        self.present, self.done = parts["observation"], parts.get("done")
        self.states = len(range(inputs)[self.present])
        named = ("observation", *PAIRS, *OF_ACTIONS)  # the pairs tell of actions, too
        self.common, count = others(inputs, [parts[name] for name in named if name in parts])
        common = 2 * count + 1
        self.state_size, self.output_size = inputs + 1, 2 * WIDTH
        self.pair, self.pair_2 = nn.Linear(4 + common, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.state = nn.Linear(2 * WIDTH + 1, WIDTH)
        self.all = nn.Linear(3 * WIDTH + common, 2 * WIDTH)
        initialise(self.pair, self.pair_2, self.state, self.all)

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block, see :class:`Memory`. The state is the sums, and the next step's age."""
        sums, age = th.split(state, [state.shape[1] - 1, 1], dim=1)
        totals = running_sums(x, sums, keep)
        ages = self._ages(x, age, keep)
        logs = logarithms(totals)
        common = th.cat([joined(x, self.common), joined(logs, self.common), ages / 10], dim=2)
        count = totals[..., self.counts]
        count = count.clamp(min=0)  # as in all states but random ones
        mean = totals[..., self.rewards] / (count + 1)
        pairs = th.stack([logs[..., self.counts], logs[..., self.rewards], mean], dim=3)
        pairs = th.unflatten(pairs, 2, (self.states, -1))
        present = x[..., self.present, None]
        each = th.cat([present, common[:, :, None].expand(-1, -1, self.states, -1)], dim=3)
        each = each[:, :, :, None].expand(-1, -1, -1, pairs.shape[3], -1)
        units = th.relu(self.pair_2(th.relu(self.pair(th.cat([pairs, each], dim=4)))))
        units = th.cat([units.mean(dim=3), units.amax(dim=3), present], dim=3)
        units = th.relu(self.state(units))
        here = (units * present).sum(dim=2)
        outputs = self.all(th.cat([units.mean(dim=2), units.amax(dim=2), here, common], dim=2))
        return th.relu(outputs), th.cat([totals[-1], ages[-1] + 1], dim=1)

    def _ages(self, x: th.Tensor, age: th.Tensor, keep: th.Tensor | None) -> th.Tensor:
        """Steps since the start of each step's episode, ``(steps, columns, 1)``."""
        begins = th.zeros_like(x[..., :1]) if self.done is None else x[..., self.done]
        if keep is not None:
            begins = begins + (1 - keep)
        steps = th.arange(len(x), device=x.device, dtype=x.dtype).view(-1, 1, 1)
        begun = th.where(begins > 0, steps, -age.expand_as(begins))
        return steps - begun.cummax(dim=0).values
