from __future__ import annotations

import numpy as np
import pytest
import torch as th
from torch import nn

from rl2_sb3.policies import popart
from rl2_sb3.policies.popart import Statistics


def test_the_first_returns_set_the_statistics_and_later_ones_move_them() -> None:
    first = popart.follow(Statistics(), np.array([[1.0, 3.0], [5.0, 7.0]]))
    assert first.shift == pytest.approx(4)
    assert first.scale == pytest.approx(5**0.5)
    then = popart.follow(first, np.array([10.0, 14.0]), rate=0.25)
    assert then.shift == pytest.approx(0.75 * 4 + 0.25 * 12)
    assert then.scale == pytest.approx(0.75 * 5**0.5 + 0.25 * 2)
    assert popart.follow(Statistics(), np.array([5.0, 5.0])).scale > 0  # what is divided by


def test_returns_that_are_all_alike_have_a_floor_under_their_deviation() -> None:
    """In proportion to their size, as float32 tells numbers apart, and never 0."""
    assert popart.follow(Statistics(), np.full(3, -2e6)).scale == pytest.approx(2)
    assert popart.follow(Statistics(), np.zeros(3)).scale == pytest.approx(1e-8)
    assert popart.follow(Statistics(), np.array([0.0, 2.0])).scale == pytest.approx(1)
    then = popart.follow(Statistics(scale=1.0, shift=0.0), np.full(3, 5.0), rate=1.0)
    assert then.scale == pytest.approx(5e-6)


def test_normalising_is_undone() -> None:
    statistics = Statistics(scale=2.0, shift=3.0)
    assert popart.normalise(np.array([3.0, 7.0]), statistics).tolist() == [0, 2]
    assert popart.unnormalise(np.array([0.0, 2.0]), statistics).tolist() == [3, 7]


def test_a_corrected_head_says_the_same_in_rewards() -> None:
    head, x = nn.Linear(3, 1), th.randn(5, 3)
    old, new = Statistics(scale=2.0, shift=3.0), Statistics(scale=0.5, shift=-1.0)
    before = popart.unnormalise(head(x), old)
    popart.correct_head(head, old, new)
    th.testing.assert_close(popart.unnormalise(head(x), new), before)
