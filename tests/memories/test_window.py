from __future__ import annotations

from typing import Any

import pytest
import torch as th
from torch.nn import functional as F

from rl2_sb3.memories import Window
from rl2_sb3.memories.products import has_bf16
from rl2_sb3.testing import check_memory
from tests.memories.blocks import in_pieces

COLUMNS, INPUTS, SIZE, HEADS = 3, 5, 8, 2


def make(window: int, layers: int = 2) -> Window:
    """With random biases, where new ones are zero."""
    th.manual_seed(window)
    memory = Window(INPUTS, SIZE, window=window, layers=layers, heads=HEADS).double()
    layer: Any
    for layer in memory.layers:
        th.nn.init.normal_(layer.bias)
        th.nn.init.normal_(layer.nothing)
    return memory


def attend(memory: Window, trial: th.Tensor) -> th.Tensor:
    """All outputs of one trial, each step and head for itself: ``(steps, size)``."""
    layer: Any
    x = memory.embed(trial)
    for layer in memory.layers:
        query, key, value = layer.attention(layer.norm(x)).chunk(3, dim=1)
        found = th.zeros_like(x)
        width = SIZE // HEADS
        for t in range(len(x)):
            first = max(0, t - memory.window)
            for head in range(HEADS):
                part = slice(head * width, (head + 1) * width)
                scores = [
                    query[t, part] @ key[s, part] / width**0.5 + layer.bias[head, t - s]
                    for s in range(first, t + 1)
                ]
                shares = th.stack([*scores, layer.nothing[head]]).softmax(dim=0)
                found[t, part] = shares[:-1] @ value[first : t + 1, part]
        x = x + layer.project(found)
        x = x + layer.down(F.gelu(layer.up(layer.norm_up(x))))
    outputs: th.Tensor = memory.norm(x)
    return outputs


@pytest.mark.parametrize("window", [1, 2, 3, 5, 11, 12, 30])
@th.no_grad()
def test_a_block_of_trials_equals_attention_trial_by_trial(window: int) -> None:
    memory, steps = make(window), 12
    x = th.randn(steps, COLUMNS, INPUTS, dtype=th.float64)
    keep = th.ones(steps, COLUMNS, 1, dtype=th.float64)
    keep[[4, 5, 9], 1] = keep[0, 2] = 0

    outputs, _ = memory(x, th.zeros(COLUMNS, memory.state_size, dtype=th.float64), keep)

    for column, starts in enumerate([[0], [0, 4, 5, 9], [0]]):
        for start, end in zip(starts, [*starts[1:], steps], strict=True):
            expected = attend(memory, x[start:end, column])
            th.testing.assert_close(outputs[start:end, column], expected)


@pytest.mark.parametrize("pieces", [[1] * 12, [5, 7], [1, 4, 2, 5]])
@th.no_grad()
def test_blocks_one_after_the_other_equal_one_block(pieces: list[int]) -> None:
    memory = make(4)
    x = th.randn(12, COLUMNS, INPUTS, dtype=th.float64)
    keep = (th.rand(12, COLUMNS, 1) > 0.2).double()
    start = th.zeros(COLUMNS, memory.state_size, dtype=th.float64)
    expected, last = memory(x, start, keep)

    outputs, state = in_pieces(memory, x, start, pieces, keep)

    th.testing.assert_close(outputs, expected)
    th.testing.assert_close(state, last)


@pytest.mark.skipif(not has_bf16(th.device("cpu")), reason="needs bf16 arithmetic")
@th.no_grad()
def test_bf16_steps_round_as_blocks_do() -> None:
    memory = make(12)
    memory = memory.float()
    memory.precision = "bf16"
    x, state = th.randn(12, COLUMNS, INPUTS), th.zeros(COLUMNS, memory.state_size)
    expected, _ = memory(x, state)
    outputs, _ = in_pieces(memory, x, state, [1] * len(x))
    # Far below what rounding itself changes, some .01.
    th.testing.assert_close(outputs, expected, rtol=0, atol=1e-4)


@th.no_grad()
def test_what_is_older_than_all_windows_has_no_effect() -> None:
    memory = make(3, layers=2)
    x = th.randn(10, 1, INPUTS, dtype=th.float64)
    state = th.zeros(1, memory.state_size, dtype=th.float64)
    before, _ = memory(x, state)
    x[1] += 1
    after, _ = memory(x, state)
    changed = [t for t in range(10) if not th.equal(before[t], after[t])]
    assert changed == list(range(1, 8))  # 1, and two layers' windows of 3 after it


@th.no_grad()
def test_a_longer_window_takes_on_a_shorter_ones_weights() -> None:
    short, long = make(6), make(9)
    weights = {f"memory.{name}": weight for name, weight in short.state_dict().items()}
    told = long.fit_weights(weights, "memory.")
    assert told == "the window grows from 6 steps to 9"
    assert not short.fit_weights(weights, "memory.")
    long.load_state_dict({name.removeprefix("memory."): each for name, each in weights.items()})
    x = th.randn(12, COLUMNS, INPUTS, dtype=th.float64)

    def outputs(memory: Window) -> th.Tensor:
        found: th.Tensor = memory(x, th.zeros(COLUMNS, memory.state_size, dtype=th.float64))[0]
        return found

    ours, theirs = outputs(long), outputs(short)
    th.testing.assert_close(ours[:7], theirs[:7])
    assert not th.allclose(ours[7:], theirs[7:])
    layer: Any
    for layer, other in zip(long.layers, short.layers, strict=True):
        mean = other.bias[:, 3:].mean(dim=1, keepdim=True)  # type: ignore[index]
        th.testing.assert_close(layer.bias[:, 7:], mean.expand(-1, 3))


@pytest.mark.parametrize("window", [1, 3, 6, 7, 20])
def test_contract(window: int) -> None:
    check_memory(Window, size=SIZE, window=window, heads=HEADS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window=0: one or more"),
        ({"layers": 0}, "layers=0: one or more"),
        ({"heads": 0}, "heads=0: one or more"),
        ({"heads": 3}, "hidden_size=8, heads=3: each head has the same number"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Window(INPUTS, SIZE, **options)
