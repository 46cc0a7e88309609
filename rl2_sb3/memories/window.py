"""Causal attention over the last steps of a trial (Vaswani et al. 2017), with resets inside blocks.

Each layer attends to its present input and to those of the ``window`` steps before it, as far as
they belong to the same trial; the feed-forward part follows. Position enters as a learned bias for
each age and head (Raffel et al. 2020), so that it is that of a step in its window, wherever the
block begins. Each head also has a place without content to attend to: its share tells how much
there is to remember, which an average alone would not, and a trial's first step has something to
attend to.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import torch as th
from torch import nn
from torch.nn import functional as F

from rl2_sb3.config import Precision
from rl2_sb3.memories.base import Memory
from rl2_sb3.memories.products import dense_products


class _Seen(NamedTuple):
    """Which earlier steps each step of a block sees, in chunks of ``length`` steps."""

    before: int
    """Steps before a chunk that are seen from it."""
    length: int
    ages: th.Tensor
    """How many steps ago the ``before + length`` keys of a chunk were for each of its steps, at
    least 0 and at most ``window``: ``(length, before + length)``."""
    mask: th.Tensor
    """Whether it is seen: ``(chunks, columns, 1, length, before + length)``."""


def _chunks(x: th.Tensor, before: int, length: int) -> th.Tensor:
    """Each chunk of ``length`` steps with those ``before`` it.

    :param x: ``(before + steps, columns, …)``
    :return: ``(chunks, columns, …, before + length)``; the last chunk is filled up with zeros
    """
    missing = -(len(x) - before) % length
    if missing:
        x = th.cat([x, x.new_zeros(missing, *x.shape[1:])])
    return x.unfold(0, before + length, length)


def _rounded(x: th.Tensor, products: Any) -> th.Tensor:
    """Factors and results of fp32 products, as those of a block's products are rounded."""
    return x if isinstance(products, nullcontext) else x.bfloat16().to(x.dtype)


class _Layer(nn.Module):
    """Attention over a window of a residual stream, and a feed-forward part."""

    def __init__(self, size: int, window: int, heads: int):
        super().__init__()
        self.heads, self.width = heads, size // heads
        self.norm, self.norm_up = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention, self.project = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.up, self.down = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        for layer in (self.attention, self.project, self.up, self.down):
            for block in th.split(layer.weight, size):
                nn.init.xavier_uniform_(block)
            nn.init.zeros_(layer.bias)
        self.bias = nn.Parameter(th.zeros(heads, window + 1))  # by age
        self.nothing = nn.Parameter(th.zeros(heads))  # the score of what has no content

    def forward(
        self, x: th.Tensor, earlier: th.Tensor, seen: _Seen, products: Any
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block.

        :param x: ``(steps, columns, size)``
        :param earlier: keys and values before it, ``(before, columns, 2 * size)``
        :return: outputs, and keys and values of all steps ``(before + steps, columns, 2 * size)``
        """
        steps, columns, size = x.shape
        query, now = self._ask(x, products)
        known = th.cat([earlier, now])
        parts = known.view(len(known), columns, 2, self.heads, -1)
        # (chunks, columns, 2, heads, features, before + length)
        keys, values = _chunks(parts, seen.before, seen.length).unbind(2)
        asked = query.view(steps, columns, self.heads, -1)
        asked = _chunks(asked, 0, seen.length).transpose(-1, -2)
        with products:
            scores = (asked @ keys).to(x.dtype)
        scores = (scores + self.bias[:, seen.ages]).masked_fill(~seen.mask, -th.inf)
        nothing = self.nothing.view(-1, 1, 1).expand(*scores.shape[:-1], 1)
        shares = th.cat([scores, nothing], dim=-1).softmax(dim=-1)[..., :-1]
        with products:
            found = (shares @ values.transpose(-1, -2)).to(x.dtype)
        # (chunks, columns, heads, length, features) to (steps, columns, size)
        found = found.permute(0, 3, 1, 2, 4).reshape(-1, columns, size)[:steps]
        return self._answer(x, found, products), known

    def step(
        self, x: th.Tensor, earlier: th.Tensor, seen: th.Tensor, products: Any
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over one step, and copy no key or value.

        :param x: ``(columns, size)``
        :param earlier: keys and values of the window, oldest first, ``(columns, window, 2 * size)``
        :param seen: whether these are, ``(columns, 1, window)``
        :return: outputs, and the step's own key and value ``(columns, 2 * size)``
        """
        query, now = self._ask(x, products)
        keys, values = earlier.chunk(2, dim=2)
        key, value = now.chunk(2, dim=1)
        # A head's query is zero at the units of the others, so that one product serves all heads.
        own_units = th.eye(self.heads, dtype=x.dtype, device=x.device)[:, :, None]
        query = _rounded(query, products).view(-1, 1, self.heads, self.width)
        asked = (query * own_units).flatten(2)
        scores = _rounded(th.bmm(asked, keys.transpose(1, 2)), products) + self.bias[:, 1:].flip(1)
        scores = scores.masked_fill(~seen, -th.inf)
        present = _rounded(th.bmm(asked, key[:, :, None]), products) + self.bias[:, :1]
        nothing = self.nothing[:, None].expand(*present.shape)
        shares = _rounded(th.cat([scores, present, nothing], dim=2).softmax(dim=2), products)
        window = values.shape[1]
        found = th.bmm(shares[..., :window], values)
        found = found + shares[..., window : window + 1] * value[:, None]
        found = found.view(-1, self.heads, self.heads, self.width) * own_units
        found = found.sum(dim=1).flatten(1)
        return self._answer(x, found, products), now

    def _ask(self, x: th.Tensor, products: Any) -> tuple[th.Tensor, th.Tensor]:
        """The steps' queries, scaled, and their keys beside their values; last axis the units."""
        size = x.shape[-1]
        with products:
            made = self.attention(self.norm(x)).to(x.dtype)
        query, now = made.split([size, 2 * size], dim=-1)
        return query * self.width**-0.5, now

    def _answer(self, x: th.Tensor, found: th.Tensor, products: Any) -> th.Tensor:
        """The residual stream with what was found, and the feed-forward part."""
        with products:
            x = x + self.project(found).to(x.dtype)
            x = x + self.down(F.gelu(self.up(self.norm_up(x)))).to(x.dtype)
        return x


class Window(Memory):
    """Layers of causal attention over the last ``window`` steps of the trial; see the module.

    What is older than ``window`` steps times ``layers`` has no effect, so that the window should
    hold a trial. Its state are the keys and values of the window's steps, ``window * (2 * layers *
    size + 1)`` numbers, which every environment keeps: for long trials, take another memory. With
    ``init``, a longer window takes on the weights of a shorter one.

    :param inputs: number of input features
    :param size: number of units
    :param window: steps before the present one that are seen
    :param layers: number of layers
    :param heads: number of heads; they share the units
    :param precision: of the products; the parameters stay fp32
    :raises ValueError: less than one of these, or units that the heads cannot share
    """

    def __init__(
        self,
        inputs: int,
        size: int,
        window: int = 100,
        layers: int = 2,
        heads: int = 4,
        precision: Precision = "fp32",
    ):
        for name, number in (("window", window), ("layers", layers), ("heads", heads)):
            if number < 1:
                raise ValueError(f"{name}={number}: one or more.")
        if size % heads:
            raise ValueError(
                f"hidden_size={size}, heads={heads}: each head has the same number of units, so "
                "that the size is a multiple of heads."
            )
        super().__init__()
        self.window, self.precision = window, precision
        self.state_size, self.output_size = window * (2 * layers * size + 1), size
        self.embed = nn.Linear(inputs, size)
        nn.init.xavier_uniform_(self.embed.weight)
        nn.init.zeros_(self.embed.bias)
        self.layers = nn.ModuleList(_Layer(size, window, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(size)

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block, see :class:`Memory`."""
        if len(x) == 1:
            return self._step(x[0], state if keep is None else state * keep[0])
        (steps, columns, _), window = x.shape, self.window
        kept = state.view(columns, window, -1).transpose(0, 1)  # (window, columns, numbers)
        if steps <= window:  # one chunk, which sees what the state holds from the first step on
            holds = (kept[..., 0] > 0).any(dim=1).cumsum(dim=0).count_nonzero()
            kept = kept[window - int(holds) :]
        filled, kept = (kept[..., :1] > 0).to(x.dtype), kept[..., 1:]
        products = dense_products(x.device, self.precision)
        # Trials count from 1, nothing from 0: what the state holds is of the first trial.
        trial = x.new_ones(steps, columns, 1)
        if keep is not None:
            trial += (keep == 0).cumsum(dim=0)
        trials = th.cat([filled, trial])
        seen = self._seen(trials, steps)
        with products:
            x = self.embed(x).to(state.dtype)
        memories = []
        for layer, earlier in zip(self.layers, kept.chunk(len(self.layers), dim=2), strict=True):
            x, known = layer(x, earlier, seen, products)
            memories.append(known[-window:])
        still = (trials[-window:] == trials[-1]).to(x.dtype)
        last = th.cat([still, *(memory * still for memory in memories)], dim=2)
        last = F.pad(last, (0, 0, 0, 0, window - len(last), 0))
        return self.norm(x), last.transpose(0, 1).reshape(columns, -1)

    def fit_weights(self, weights: dict[str, th.Tensor], prefix: str) -> str:
        """Take on a shorter window's: ages beyond it get the mean bias of its older half."""
        grown = ""
        for name, layer in self.layers.named_children():
            key, ours = f"{prefix}layers.{name}.bias", layer.get_parameter("bias")
            bias = weights.get(key)
            if bias is not None and len(bias) == len(ours) and bias.shape[1] < ours.shape[1]:
                older = bias[:, bias.shape[1] // 2 :].mean(dim=1, keepdim=True)
                more = older.expand(-1, ours.shape[1] - bias.shape[1])
                weights[key] = th.cat([bias, more], dim=1)
                grown = f"the window grows from {bias.shape[1] - 1} steps to {self.window}"
        return grown

    def _step(self, x: th.Tensor, state: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Run over one step, which is how agents act; the state is copied once.

        :param x: ``(columns, inputs)``
        :return: outputs ``(1, columns, size)``, and the next state
        """
        kept = state.view(-1, self.window, self.state_size // self.window)
        seen = (kept[..., 0] > 0)[:, None]
        products = dense_products(x.device, self.precision)
        with products:
            x = self.embed(x).to(state.dtype)
        memories = [x.new_ones(x.shape[0], 1)]
        earlier = kept[..., 1:].chunk(len(self.layers), dim=2)
        layer: Any
        for layer, known in zip(self.layers, earlier, strict=True):
            x, now = layer.step(x, known, seen, products)
            memories.append(now)
        last = th.cat([state[:, kept.shape[2] :], *memories], dim=1)
        return self.norm(x)[None], last

    def _seen(self, trials: th.Tensor, steps: int) -> _Seen:
        """Which steps see which.

        :param trials: each step's, and before them those of the state, 0 where there is none:
            ``(before + steps, columns, 1)``
        """
        before, length = len(trials) - steps, min(self.window, steps)
        asking = th.arange(before, before + length, device=trials.device)
        ages = asking[:, None] - th.arange(before + length, device=trials.device)
        theirs = _chunks(trials, before, length)[:, :, :, None]  # (chunks, columns, 1, 1, keys)
        own = theirs[..., before:].transpose(-1, -2)
        mask = (own == theirs) & (ages >= 0) & (ages <= self.window)
        return _Seen(before, length, ages.clamp(0, self.window), mask)
