"""What the C library is asked for, and when it is told to forget it."""

from __future__ import annotations

from typing import Any

import pytest

from rl2_sb3 import evaluate_trials, heap
from rl2_sb3.baselines import UCB1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options that were set, one after the other."""
    found: list[Any] = []
    monkeypatch.setattr(heap, "_set", lambda library, options: found.append(options))
    return found


def test_the_last_context_to_end_gives_the_memory_back(asked: list[Any]) -> None:
    with heap.reused_memory():
        with heap.reused_memory():  # an evaluation during training
            pass
        assert asked == [heap.REUSE, heap.REUSE]
    assert asked == [heap.REUSE, heap.REUSE, heap.USUAL]


def test_so_does_one_that_fails(asked: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError), heap.reused_memory():
        raise ZeroDivisionError
    assert asked == [heap.REUSE, heap.USUAL]


def test_evaluation_uses_memory_again(asked: list[Any]) -> None:
    evaluate_trials(UCB1(arms=5), "bandit", 10, episodes=2)
    assert asked == [heap.REUSE, heap.USUAL]
