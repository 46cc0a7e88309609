from __future__ import annotations

from typing import Any

import pytest
import torch as th
from torch.nn import functional as F

from rl2_sb3.memories import FastWeights
from rl2_sb3.memories.fast_weights import CHUNK
from rl2_sb3.memories.products import has_bf16
from rl2_sb3.testing import check_memory
from tests.memories.blocks import in_pieces

COLUMNS, INPUTS, SIZE, HEADS, ROWS = 3, 5, 8, 2, 4


def make(layers: int = 2) -> FastWeights:
    th.manual_seed(layers)
    memory = FastWeights(INPUTS, SIZE, layers=layers, heads=HEADS, rows=ROWS).double()
    layer: Any
    for layer in memory.layers:
        th.nn.init.normal_(layer.nothing)  # where new ones are all alike
    return memory


def attend(memory: FastWeights, trial: th.Tensor) -> th.Tensor:
    """All outputs of one trial, as attention: each step and head for itself, without a table."""
    layer: Any
    x, width = memory.embed(trial), SIZE // HEADS
    for layer in memory.layers:
        made = layer.ask(layer.norm(x))
        queries, keys, values = made.split([HEADS * ROWS, HEADS * ROWS, SIZE], dim=1)
        means, counts = th.zeros_like(x), x.new_zeros(len(x), HEADS)
        for t in range(len(x)):
            for head in range(HEADS):
                address = slice(head * ROWS, (head + 1) * ROWS)
                part = slice(head * width, (head + 1) * width)
                query = queries[t, address].softmax(dim=0)
                near = th.stack([query @ keys[s, address].softmax(dim=0) for s in range(t + 1)])
                counts[t, head] = near.sum()
                read = near @ values[: t + 1, part]
                means[t, part] = read / (near.sum() + layer.nothing[head].exp())
        x = x + layer.project(th.cat([means, (1 + counts).log()], dim=1))
        x = x + layer.down(F.gelu(layer.up(layer.norm_up(x))))
    outputs: th.Tensor = memory.norm(x)
    return outputs


@pytest.mark.parametrize("steps", [12, CHUNK, CHUNK + 1, 3 * CHUNK - 1])
@th.no_grad()
def test_a_block_of_trials_equals_attention_trial_by_trial(steps: int) -> None:
    memory = make()
    x = th.randn(steps, COLUMNS, INPUTS, dtype=th.float64)
    keep = th.ones(steps, COLUMNS, 1, dtype=th.float64)
    keep[[4, 5, 9], 1] = keep[0, 2] = keep[-1, 2] = 0

    outputs, _ = memory(x, th.zeros(COLUMNS, memory.state_size, dtype=th.float64), keep)

    for column, starts in enumerate([[0], [0, 4, 5, 9], [0, steps - 1]]):
        for start, end in zip(starts, [*starts[1:], steps], strict=True):
            expected = attend(memory, x[start:end, column])
            th.testing.assert_close(outputs[start:end, column], expected)


@pytest.mark.parametrize("pieces", [[1] * 100, [50, 50], [1, 64, 2, 33]])
@th.no_grad()
def test_blocks_one_after_the_other_equal_one_block(pieces: list[int]) -> None:
    memory = make()
    x = th.randn(100, COLUMNS, INPUTS, dtype=th.float64)
    keep = (th.rand(100, COLUMNS, 1) > 0.05).double()
    start = th.rand(COLUMNS, memory.state_size, dtype=th.float64)
    expected, last = memory(x, start, keep)

    outputs, state = in_pieces(memory, x, start, pieces, keep)

    th.testing.assert_close(outputs, expected)
    th.testing.assert_close(state, last)


def test_gradients_of_a_block_are_those_of_its_steps() -> None:
    memory = make()
    x = th.randn(2 * CHUNK + 3, COLUMNS, INPUTS, dtype=th.float64)
    keep = (th.rand(len(x), COLUMNS, 1) > 0.05).double()
    start = th.rand(COLUMNS, memory.state_size, dtype=th.float64)
    leaves = [x.requires_grad_(), start.requires_grad_(), *memory.parameters()]
    slope = th.randn(len(x), COLUMNS, SIZE, dtype=th.float64)

    outputs, _ = in_pieces(memory, x, start, [1] * len(x), keep)
    expected = th.autograd.grad(outputs, leaves, slope)

    th.testing.assert_close(th.autograd.grad(memory(x, start, keep)[0], leaves, slope), expected)


@pytest.mark.skipif(not has_bf16(th.device("cpu")), reason="needs bf16 arithmetic")
@th.no_grad()
def test_bf16_steps_round_as_blocks_do() -> None:
    memory = make().float()
    memory.precision = "bf16"
    x, state = th.randn(100, COLUMNS, INPUTS), th.zeros(COLUMNS, memory.state_size)
    expected, _ = memory(x, state)
    outputs, _ = in_pieces(memory, x, state, [1] * len(x))
    # Sums in another order are rounded to another bf16 here and there.
    off = (outputs - expected).abs()
    assert off.mean() < 2e-4
    assert off.max() < 0.05


@th.no_grad()
def test_the_tables_count_steps() -> None:
    memory = make()
    _, state = memory(
        th.randn(70, COLUMNS, INPUTS, dtype=th.float64),
        th.zeros(COLUMNS, memory.state_size, dtype=th.float64),
    )
    counts = state.view(COLUMNS, HEADS, 2, ROWS, -1)[..., -1].sum(dim=-1)
    th.testing.assert_close(counts, th.full_like(counts, 70.0))  # each step is one, in all rows


@pytest.mark.parametrize("layers", [1, 3])
def test_contract(layers: int) -> None:
    check_memory(FastWeights, size=SIZE, layers=layers, heads=HEADS, rows=ROWS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "layers=0: one or more"),
        ({"heads": 0}, "heads=0: one or more"),
        ({"rows": 0}, "rows=0: one or more"),
        ({"heads": 3}, "hidden_size=8, heads=3: each head has the same number"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FastWeights(INPUTS, SIZE, **options)


def test_one_unit_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size=1: two or more"):
        FastWeights(INPUTS, 1, heads=1)
