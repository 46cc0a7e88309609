"""Memories for small MDPs that treat all states alike, and all actions: sums for each pair.

Where states and actions are drawn alike, nothing tells one pair from another but what it has led
to. Layers over all sums side by side have to learn for each pair what these learn for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch as th
from torch import nn

from rl2_sb3.memories.actions import OF_ACTIONS, WIDTH, initialise, joined, others
from rl2_sb3.memories.base import Memory
from rl2_sb3.memories.sums import logarithms, running_sums

PAIRS = ("state_action", "state_action_reward")


class Pairs:
    """What is known of each state and action of a small MDP, from the sums of a step's features.

    :param inputs: number of input features
    :param parts: where each part of a step stands among the inputs, the policy's ``state_action``
        products among them
    :param memory: that asks, for the message
    :raises ValueError: without these
    """

    def __init__(self, inputs: int, parts: Mapping[str, slice], memory: str):
        if not all(name in parts for name in PAIRS):
            raise ValueError(
                f"The memory {memory!r} is for small MDPs: it needs state_action=True."
            )
        self.counts, self.rewards = (parts[name] for name in PAIRS)
        self.present, self.done = parts["observation"], parts.get("done")
        self.states = len(range(inputs)[self.present])
        named = ("observation", *PAIRS, *OF_ACTIONS)  # the pairs tell of actions, too
        self.between, common = others(inputs, [parts[name] for name in named if name in parts])
        self.common = 2 * common + 1

    def told(self, x: th.Tensor, totals: th.Tensor, ages: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """What is known of each pair, and what is the same for all.

        Of each pair how often it occurred, its rewards' sum, both on a logarithmic scale, and their
        mean as if there had been one of 0 more.

        :param x: a block, ``(steps, columns, inputs)``
        :param totals: the inputs' sums since the trial's start, of the same shape
        :param ages: see :meth:`ages`
        :return: ``(steps, columns, states, actions, 3)`` and ``(steps, columns, common)``
        """
        logs = logarithms(totals)
        common = th.cat([joined(x, self.between), joined(logs, self.between), ages / 10], dim=2)
        count = totals[..., self.counts].clamp(min=0)  # as in all states but random ones
        mean = totals[..., self.rewards] / (count + 1)
        pairs = th.stack([logs[..., self.counts], logs[..., self.rewards], mean], dim=3)
        return th.unflatten(pairs, 2, (self.states, -1)), common

    def ages(self, x: th.Tensor, age: th.Tensor, keep: th.Tensor | None) -> th.Tensor:
        """Steps since the start of each step's episode, ``(steps, columns, 1)``."""
        begins = th.zeros_like(x[..., :1]) if self.done is None else x[..., self.done]
        if keep is not None:
            begins = begins + (1 - keep)
        if len(x) == 1:  # as in exported models: ONNX knows no running maximum
            return th.where(begins > 0, th.zeros_like(begins), age)
        steps = th.arange(len(x), device=x.device, dtype=x.dtype).view(-1, 1, 1)
        begun = th.where(begins > 0, steps, -age.expand_as(begins))
        return steps - begun.cummax(dim=0).values


class PairSums(Memory):
    """For value networks in small MDPs: what each action has led to in each state, seen as a set.

    Of each state and action it has what :meth:`Pairs.told` says, whether the state is the present
    one, and what is the same for all (with sums on a logarithmic scale, and the number of steps
    since the episode's start). The same dense layers go over all pairs, the same over all states,
    then one over the whole::

        u_sa = relu(W2 relu(W1 x_sa))
        u_s = relu(W3 (mean_a(u_sa), max_a(u_sa), [s is present]))
        y = relu(W4 (mean_s(u_s), max_s(u_s), u_present, x))

    A privileged observation is taken as common to all.

    :param inputs: number of input features
    :param size: of no effect: the layers for each pair and state have 32 units, the last one 64
    :param parts: see :class:`Pairs`
    :raises ValueError: see :class:`Pairs`
    """

    own_layers: ClassVar[bool] = True

    def __init__(self, inputs: int, size: int, parts: Mapping[str, slice]):
        super().__init__()
        self.pairs = Pairs(inputs, parts, "pair-sums")
        common = self.pairs.common
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
        totals, ages = running_sums(x, sums, keep), self.pairs.ages(x, age, keep)
        pairs, common = self.pairs.told(x, totals, ages)
        present = x[..., self.pairs.present, None]
        each = th.cat([present, common[:, :, None].expand(-1, -1, self.pairs.states, -1)], dim=3)
        each = each[:, :, :, None].expand(-1, -1, -1, pairs.shape[3], -1)
        units = th.relu(self.pair_2(th.relu(self.pair(th.cat([pairs, each], dim=4)))))
        units = th.cat([units.mean(dim=3), units.amax(dim=3), present], dim=3)
        units = th.relu(self.state(units))
        here = (units * present).sum(dim=2)
        outputs = self.all(th.cat([units.mean(dim=2), units.amax(dim=2), here, common], dim=2))
        return th.relu(outputs), th.cat([totals[-1], ages[-1] + 1], dim=1)


class TransitionGraph(Memory):
    """For small MDPs: what was seen of each state and action, and messages along the transitions.

    Beside the sums of :class:`PairSums` it counts where each action has led in each state,
    ``n_sas'``. The same layers for all pairs tell what is known of one; then what they tell goes
    ``rounds`` times from states to the actions that lead there, by the same weights each time, as
    values do in value iteration, but what is told is learned::

        e_sa = W2 relu(W1 x_sa)
        u_sa = relu(e_sa)
        u_s = W3 (mean_a(u_sa), max_a(u_sa))                     # and, `rounds` times,
        u_sa = relu(e_sa + W4 mean_s'(u_s', weighed by n_sas' + 1))

    The outputs are ``u_sa`` of the present state, from which the policy makes each action's logit.
    So to swap two actions, or two states, in all steps changes nothing else, and weights go on with
    any number of both (``--init``). Its value network may be :class:`PairSums`.

    :param inputs: number of input features
    :param size: units of each pair
    :param parts: see :class:`Pairs`
    :param rounds: of messages
    :raises ValueError: see :class:`Pairs`, or less than 0 rounds
    """

    of_actions: ClassVar[bool] = True

    def __init__(self, inputs: int, size: int, parts: Mapping[str, slice], rounds: int = 3):
        super().__init__()
        if rounds < 0:
            raise ValueError(f"rounds={rounds}: must be 0 or more.")
        self.pairs, self.rounds = Pairs(inputs, parts, "transition-graph"), rounds
        self.counts = len(range(inputs)[self.pairs.counts])
        self.output_size = self.counts // self.pairs.states * size
        self.state_size = inputs + self.counts * self.pairs.states + 1
        self.own = nn.Linear(3, 2 * size)
        self.common = nn.Linear(self.pairs.common, 2 * size, bias=False)
        self.own_2 = nn.Linear(2 * size, size)
        self.state = nn.Linear(2 * size, size)
        self.message = nn.Linear(size, size, bias=False)
        initialise(self.own, self.common, self.own_2, self.state, self.message)

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block, see :class:`Memory`. The state is sums, transitions and the age."""
        numbers = [x.shape[2], state.shape[1] - x.shape[2] - 1, 1]
        *_, age = th.split(state, numbers, dim=1)
        pairs, states = x[..., self.pairs.counts], x[..., self.pairs.present]
        if self.pairs.done is not None:  # after an episode the next one's first state is seen
            states = states * (1 - x[..., self.pairs.done])
        moved = (pairs[..., None] * states[..., None, :]).flatten(2)
        sums = running_sums(th.cat([x, moved], dim=2), state[:, :-1], keep)
        ages = self.pairs.ages(x, age, keep)
        last = th.cat([sums[-1], ages[-1] + 1], dim=1)
        totals, moved = th.split(sums, numbers[:2], dim=2)
        told, common = self.pairs.told(x, totals, ages)
        moved = th.unflatten(moved, 2, (self.counts, self.pairs.states))
        present = x[..., self.pairs.present].argmax(dim=2)
        blocks = [block.flatten(0, 1) for block in (told, common, moved, present)]
        outputs = self._outputs(*blocks)
        return outputs.view(*x.shape[:2], -1), last

    def _outputs(
        self, told: th.Tensor, common: th.Tensor, moved: th.Tensor, present: th.Tensor
    ) -> th.Tensor:
        """``(rows, actions * size)`` of what is known, ``(rows, states, actions, 3)``."""
        known = self.own(told) + self.common(common)[:, None, None]
        known = self.own_2(th.relu(known))
        rows = th.arange(present.shape[0], device=present.device)
        visits = (moved + 1).clamp(min=0)
        visits = visits / visits.sum(dim=2, keepdim=True).clamp(min=1)
        here = th.unflatten(visits, 1, told.shape[1:3])[rows, present]
        units = th.relu(known)
        for left in reversed(range(self.rounds)):
            states = self.state(th.cat([units.mean(dim=2), units.amax(dim=2)], dim=2))
            told_on = self.message(states)
            if left:
                news = th.bmm(visits, told_on).view_as(known)
                units = th.relu(known + news)
            else:
                units = th.relu(known[rows, present] + th.bmm(here, told_on))
        return units.flatten(1) if self.rounds else units[rows, present].flatten(1)
