"""Fast weights: attention over the whole trial, whose state does not grow with it.

Each head keeps a table, whose rows are addressed by what has been made of a step so far
(Schmidhuber 1992, "Learning to control fast-weight memories"; as linear attention, Katharopoulos et
al. 2020). With ``keep`` 0 where the state is reset, a layer's step is, for each head::

    u = norm(x)
    q, k, v = softmax(W_q u + b_q), softmax(W_k u + b_k), (W_v u + b_v, 1)
    T <- keep * T + k v'
    (read, count) = q' T
    found = read / (count + e), log(1 + count)

The mean of what was written where ``q`` points, and how much that was, in numbers of steps. What
all heads found is added to the residual stream by a dense layer; a feed-forward part follows.
Blocks go through chunks of steps: within a chunk as in attention, by the products of queries and
keys; of earlier chunks the tables tell.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch as th
from torch import nn
from torch.nn import functional as F

from rl2_sb3.config import Precision
from rl2_sb3.memories.base import Memory
from rl2_sb3.memories.products import dense_products

CHUNK = 32
"""Steps of the longest chunk. In longer ones most products are of steps that do not see each
other, in shorter ones most work is on tables."""
SPREAD = 3.0
"""Scale of queries and keys at first, before their softmax: different steps then address different
rows, a few each."""


class _Trials(NamedTuple):
    """What belongs to the same trial in a block of chunks: 1, else 0."""

    steps: th.Tensor
    """Of a step and one not after it: ``(columns, chunks, 1, length, length)``."""
    before: th.Tensor
    """A step, and the table before its chunk: ``(columns, chunks, 1, length, 1)``."""
    after: th.Tensor
    """A step, and the table after its chunk: the same shape."""
    tables: th.Tensor
    """The tables before and after a chunk: ``(columns, chunks, 1, 1, 1)``."""


def _trials(keep: th.Tensor, chunks: int) -> _Trials:
    """Which steps and tables belong together, by the resets of a block ``(steps, columns, 1)``."""
    trial = (keep == 0).cumsum(dim=0).squeeze(2).T  # the state before the block is of trial 0
    missing = -len(keep) % chunks
    own = th.unflatten(F.pad(trial, (0, missing), value=-1), 1, (chunks, -1))
    ends = trial[:, own.shape[2] - 1 :: own.shape[2]]
    after = th.cat([ends[:, : chunks - 1], trial[:, -1:]], dim=1)[:, :, None]
    before = F.pad(after[:, :-1], (0, 0, 1, 0))
    same = (
        (own[..., None] == own[:, :, None]).tril(),
        (own == before)[..., None],
        (own == after)[..., None],
        (before == after)[..., None],
    )
    return _Trials(*(each[:, :, None].to(keep.dtype) for each in same))


class _Layer(nn.Module):
    """Tables that a residual stream writes to and reads from, and a feed-forward part."""

    def __init__(self, size: int, heads: int, rows: int):
        super().__init__()
        self.heads, self.rows, self.width = heads, rows, size // heads
        self.norm, self.norm_up = nn.LayerNorm(size), nn.LayerNorm(size)
        self.ask = nn.Linear(size, 2 * heads * rows + size)
        self.project = nn.Linear(size + heads, size)
        self.up, self.down = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        for layer in (self.ask, self.project, self.up, self.down):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        query, key, value = th.split(self.ask.weight, [heads * rows, heads * rows, size])
        nn.init.orthogonal_(query, SPREAD)
        nn.init.orthogonal_(key, SPREAD)
        nn.init.xavier_uniform_(value)
        self.nothing = nn.Parameter(th.full([heads], -2.0))  # log of e, for each head

    def forward(
        self, x: th.Tensor, table: th.Tensor, trials: _Trials, products: Any
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block.

        :param x: ``(columns, chunks, length, size)``
        :param table: before it, ``(columns, heads, rows, width + 1)``
        :return: outputs, and the table after it
        """
        query, key, value = (made.transpose(2, 3) for made in self._ask(x, products))
        written = (key * trials.after).transpose(3, 4) @ value
        tables = []
        for each, kept in zip(written.unbind(1), trials.tables.unbind(1), strict=True):
            tables.append(table)
            table = th.addcmul(each, table, kept)
        read = (query * trials.before) @ th.stack(tables, dim=1)
        read = read + (query @ key.transpose(3, 4) * trials.steps) @ value
        return self._answer(x, read.transpose(2, 3), products), table

    def step(self, x: th.Tensor, table: th.Tensor, products: Any) -> tuple[th.Tensor, th.Tensor]:
        """Run over one step.

        :param x: ``(columns, size)``
        :param table: ``(columns, heads, rows, width + 1)``
        :return: outputs, and the next table
        """
        query, key, value = self._ask(x, products)
        table = th.addcmul(table, key[..., None], value[..., None, :])
        read = (query[..., None, :] @ table).squeeze(2)
        return self._answer(x, read, products), table

    def _ask(self, x: th.Tensor, products: Any) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Queries and keys ``(…, heads, rows)``, and values and 1 ``(…, heads, width + 1)``."""
        with products:
            made = self.ask(self.norm(x)).to(x.dtype)
        address, value = th.split(made, [2 * self.heads * self.rows, x.shape[-1]], dim=-1)
        address = th.unflatten(address, -1, (2, self.heads, self.rows))
        query, key = address.softmax(dim=-1).unbind(-3)
        value = th.unflatten(value, -1, (self.heads, self.width))
        return query, key, F.pad(value, (0, 1), value=1.0)

    def _answer(self, x: th.Tensor, read: th.Tensor, products: Any) -> th.Tensor:
        """The residual stream with what was found, and the feed-forward part."""
        read, count = th.split(read, [self.width, 1], dim=-1)
        count = count.clamp(min=0)  # as in all states but random ones
        mean = read / (count + self.nothing.exp()[:, None])
        found = th.cat([mean.flatten(-2), count.squeeze(-1).log1p()], dim=-1)
        with products:
            x = x + self.project(found).to(x.dtype)
            x = x + self.down(F.gelu(self.up(self.norm_up(x)))).to(x.dtype)
        return x


class FastWeights(Memory):
    """Layers of fast weights, each with a feed-forward part; see the module.

    For tasks in which many things have to be remembered and found again, such as what each action
    led to in each state: nothing written is forgotten before the trial ends, and neither the state
    nor the time of a step grows with the trial. Its state is the tables, ``layers * rows * (size +
    heads)`` numbers.

    :param inputs: number of input features
    :param size: number of units
    :param layers: number of layers
    :param heads: number of tables of each layer; they share the units
    :param rows: rows of a table
    :param precision: of the dense layers' products; the parameters, and what is written to and read
        from the tables, stay fp32. In bf16 a block and its steps agree but for numbers that fp32
        sums, added in another order, round to the next bf16
    :raises ValueError: less than one of these, fewer than two units, or units that the heads cannot
        share
    """

    def __init__(
        self,
        inputs: int,
        size: int,
        layers: int = 2,
        heads: int = 8,
        rows: int = 32,
        precision: Precision = "fp32",
    ):
        for name, number in (("layers", layers), ("heads", heads), ("rows", rows)):
            if number < 1:
                raise ValueError(f"{name}={number}: one or more.")
        if size < 2:
            raise ValueError(
                f"hidden_size={size}: two or more, since they are normalised together."
            )
        if size % heads:
            raise ValueError(
                f"hidden_size={size}, heads={heads}: each head has the same number of units. Take "
                "a multiple of heads as the size, or other heads (memory_kwargs)."
            )
        super().__init__()
        self.precision: Precision = precision
        # Heads first: what one layer's product needs then follows at one distance.
        self.tables = (heads, layers, rows, size // heads + 1)
        self.state_size, self.output_size = layers * rows * (size + heads), size
        self.embed = nn.Linear(inputs, size)
        nn.init.xavier_uniform_(self.embed.weight)
        nn.init.zeros_(self.embed.bias)
        self.layers = nn.ModuleList(_Layer(size, heads, rows) for _ in range(layers))
        self.norm = nn.LayerNorm(size)

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block, see :class:`Memory`."""
        if keep is not None:
            keep = keep.to(state.dtype)
        products = dense_products(x.device, self.precision)
        with products:
            x = self.embed(x).to(state.dtype)
        if len(x) == 1:
            return self._step(x[0], state if keep is None else state * keep[0], products)
        steps, columns, _ = x.shape
        chunks = -(-steps // CHUNK)
        trials = _trials(x.new_ones(steps, columns, 1) if keep is None else keep, chunks)
        x = F.pad(x.transpose(0, 1), (0, 0, 0, -steps % chunks))
        x = th.unflatten(x, 1, (chunks, -1))
        last = []
        for layer, table in zip(self.layers, self._split(state), strict=True):
            x, table = layer(x, table, trials, products)
            last.append(table)
        x = self.norm(x).flatten(1, 2)[:, :steps].transpose(0, 1)
        return x, th.stack(last, dim=2).flatten(1)

    def _step(self, x: th.Tensor, state: th.Tensor, products: Any) -> tuple[th.Tensor, th.Tensor]:
        """Run over one step, which is how agents act; ``x`` is ``(columns, size)``."""
        last = []
        layer: Any
        for layer, table in zip(self.layers, self._split(state), strict=True):
            x, table = layer.step(x, table, products)
            last.append(table)
        return self.norm(x)[None], th.stack(last, dim=2).flatten(1)

    def _split(self, state: th.Tensor) -> tuple[th.Tensor, ...]:
        """Each layer's tables in a state, ``(columns, heads, rows, width + 1)``."""
        return th.unflatten(state, 1, self.tables).unbind(2)
