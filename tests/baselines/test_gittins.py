"""Gittins indices against published values, hand-computed ones and a plain recursion."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl2_sb3.baselines import Gittins
from rl2_sb3.baselines.gittins import (
    brezzi_lai_index,
    finite_horizon_gittins,
    gittins_index,
    place,
    whittle_index,
)
from tests.baselines.test_bandits import play, seen


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(module_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tables of these tests, and none of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(module_cache))
    return module_cache / "rl2-sb3"


def test_published_indices() -> None:
    """Gittins 1979 at a discount of 0.9, by successes (down) and failures; and other discounts."""
    alpha, beta = np.arange(1, 4)[:, None], np.arange(1, 4)
    assert gittins_index(alpha, beta, 0.9) == pytest.approx(
        np.array([[0.7029, 0.5001, 0.3796], [0.8001, 0.6346, 0.5163], [0.8452, 0.7072, 0.6010]]),
        abs=1e-4,
    )
    assert gittins_index(1, 1, 0.5) == pytest.approx(0.5590, abs=1e-4)
    assert gittins_index(1, 1, 0.95) == pytest.approx(0.7614, abs=1e-4)
    assert gittins_index(1, 1, 0.99) == pytest.approx(0.8699, abs=1e-4)


def test_index_does_not_depend_on_what_is_asked_with_it() -> None:
    pair = gittins_index([2.5, 7.5], [1.25, 30.25], 0.9)
    assert pair[0] == pytest.approx(gittins_index(2.5, 1.25, 0.9), abs=1e-4)
    assert pair[1] == pytest.approx(gittins_index(7.5, 30.25, 0.9), abs=1e-4)


def test_a_short_sight_sees_the_mean() -> None:
    assert gittins_index([1, 3], [1, 2], 1e-4) == pytest.approx([1 / 2, 3 / 5], abs=1e-4)


def finite_horizon_root(alpha: float, beta: float, left: int) -> float:
    """The index by bisection over a plain recursion of the value of going on or retiring."""

    def value(a: float, b: float, m: int, safe: float) -> float:
        return max(m * safe, going_on(a, b, m, safe)) if m else 0.0

    def going_on(a: float, b: float, m: int, safe: float) -> float:
        mean = a / (a + b)
        return mean * (1 + value(a + 1, b, m - 1, safe)) + (1 - mean) * value(a, b + 1, m - 1, safe)

    low, high = 0.0, 1.0
    for _ in range(30):
        safe = (low + high) / 2
        if going_on(alpha, beta, left, safe) > left * safe:
            low = safe
        else:
            high = safe
    return low


def test_finite_horizon_by_hand() -> None:
    table = finite_horizon_gittins(2)
    # One pull left: the mean. Two: 1/2 - λ + 1/2 (2/3 - λ) = 0.
    s, f, left = np.array([[0, 0, 2], [0, 0, 1], [1, 0, 1], [0, 1, 1]]).T
    assert table[place(s, f, left, 2)] == pytest.approx([5 / 9, 1 / 2, 2 / 3, 1 / 3], abs=1e-5)


@pytest.mark.parametrize("prior", [(1.0, 1.0), (0.5, 2.5)])
def test_finite_horizon_is_that_of_plain_recursion(prior: tuple[float, float]) -> None:
    n = 7
    table = finite_horizon_gittins(n, *prior)
    states = np.array(
        [(s, f, left) for s in range(n) for f in range(n - s) for left in range(1, n - s - f + 1)]
    )
    places = place(states[:, 0], states[:, 1], states[:, 2], n)
    assert sorted(places) == list(range(len(table))), "the table has one place for each state"
    expected = [finite_horizon_root(s + prior[0], f + prior[1], int(m)) for s, f, m in states]
    assert table[places] == pytest.approx(expected, abs=1e-4)


def test_finite_horizon_of_many_pulls_is_whole_and_grows_with_them() -> None:
    table = finite_horizon_gittins(60)
    assert not np.isnan(table).any()
    left = np.arange(1, 51)
    index = table[place(np.full(50, 4), np.full(50, 6), left, 60)]
    assert index[0] == pytest.approx(5 / 12, abs=1e-5)
    assert np.all(np.diff(index) > 0)


def test_whittle_by_hand() -> None:
    c = math.log(1 / 0.9)
    expected = 1 / 2 + 1 / 4 / (2 * math.sqrt((2 * c + 1 / 2) / 4))
    assert whittle_index(1, 1, 0.9) == pytest.approx(expected)
    spread = 3 / 4 * 1 / 4
    expected = 3 / 4 + spread / (4 * math.sqrt((2 * c + 1 / 4) * spread) + 1 / 4)
    assert whittle_index([1, 3], [1, 1], 0.9)[1] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("s", "psi"),
    [
        (0.1, math.sqrt(0.05)),
        (0.64, 0.49 - 0.11 / 0.8),
        (4, 0.63 - 0.26 / 2),
        (9, 0.77 - 0.58 / 3),
        (100, math.sqrt(2 * math.log(100) - math.log(math.log(100)) - math.log(16 * math.pi))),
    ],
)
def test_brezzi_lai_by_hand(s: float, psi: float) -> None:
    gamma = math.exp(-1 / (s * 6))  # five pulls and the prior's
    expected = 2 / 5 + math.sqrt(2 * 3 / (25 * 6)) * psi
    assert brezzi_lai_index(2, 3, gamma) == pytest.approx(expected)


@pytest.mark.parametrize(("arms", "mean", "error"), [(5, 78.61, 0.11), (10, 83.73, 0.08)])
def test_finite_horizon_earns_what_was_measured(arms: int, mean: float, error: float) -> None:
    total = play(Gittins(arms=arms, episodes=100, method="finite-horizon"), 100, 4000)
    ours = total.std() / math.sqrt(len(total))
    assert total.mean() == pytest.approx(mean, abs=3 * math.hypot(error, ours))


@pytest.mark.parametrize("method", ["calibration", "finite-horizon", "whittle", "brezzi-lai"])
def test_table_1(method: Any) -> None:
    """The paper has 6.6 and 78.3; 0.07 and 0.5 are its standard errors."""
    few = play(Gittins(arms=5, episodes=10, method=method), 10, 4000)
    assert few.mean() == pytest.approx(6.6, abs=3 * 0.07 + 0.05)
    many = play(Gittins(arms=5, episodes=100, method=method), 100, 2000)
    assert many.mean() == pytest.approx(78.3, abs=3 * 0.6 + 0.05)


def test_the_agent_by_hand() -> None:
    agent = Gittins(arms=3, episodes=10, gamma=0.9)
    assert seen(agent, []) == pytest.approx([1 / 3] * 3)
    # Gittins 1979: 0.8001 after a success; 0.6346 then, after a failure, under the fresh 0.7029.
    assert seen(agent, [(1, 1)]).tolist() == [0, 1, 0]
    assert seen(agent, [(1, 1), (1, 0)]).tolist() == [1 / 2, 0, 1 / 2]
    # The last of three pulls: nothing to learn for, and all means are 1/2.
    last = Gittins(arms=3, episodes=3, method="finite-horizon")
    assert last.scores(
        np.array([[1, 0, 0]], np.int32), np.array([[1, 0, 0]], np.int32)
    ) == pytest.approx(np.full((1, 3), 1 / 2), abs=1e-5)
    assert last.scores(
        np.array([[1, 0, 0]], np.int32), np.array([[0, 0, 0]], np.int32)
    ) == pytest.approx(np.array([[7 / 10, 5 / 9, 5 / 9]]), abs=1e-5)


def test_the_discount_is_that_of_the_trial_by_default() -> None:
    assert Gittins(arms=2, episodes=100).discount == pytest.approx(0.99)
    assert Gittins(arms=2, episodes=1).discount == 0.5
    assert Gittins(arms=2, episodes=100, gamma=0.7).discount == 0.7


def test_tables_are_made_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters: dict[str, Any] = {"arms": 2, "episodes": 4, "gamma": 0.8}
    table = Gittins(**parameters).table
    made = [path.name for path in cache.iterdir()]
    assert "gittins-calibration-4-0.8-1.0-1.0-v1.npy" in made
    assert not [name for name in made if name.endswith(".tmp")]

    def fail(*_: Any) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr("rl2_sb3.baselines.gittins.gittins_table", fail)
    assert np.array_equal(Gittins(**parameters).table, table, equal_nan=True)
    for other in ({"episodes": 5}, {"gamma": 0.7}, {"prior_alpha": 2.0}, {"prior_beta": 2.0}):
        with pytest.raises(AssertionError, match="made again"):
            _ = Gittins(**{**parameters, **other}).table


@pytest.mark.parametrize("left", [b"", b"rubbish", b"half"])
def test_a_broken_table_is_made_again(cache: Path, left: bytes) -> None:
    parameters: dict[str, Any] = {"arms": 2, "episodes": 6, "gamma": 0.6}
    table = np.array(Gittins(**parameters).table)
    path = cache / "gittins-calibration-6-0.6-1.0-1.0-v1.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if left == b"half" else left)
    assert np.array_equal(Gittins(**parameters).table, table, equal_nan=True)
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    agent = Gittins(arms=2, episodes=3)
    with pytest.warns(UserWarning, match="is not written"):
        assert agent.table.shape == (3, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gittins_index(1, 1, 1.0), r"gamma=1.0 is not in \(0, 1\)"),
        (lambda: gittins_index(0, 1, 0.9), "must be positive"),
        (lambda: gittins_index([1, 1.5], 1, 0.9), "whole steps apart"),
        (lambda: whittle_index([1, -1], 1, 0.9), "must be positive"),
        (lambda: finite_horizon_gittins(5000), "use method='calibration'"),
        (lambda: Gittins(arms=2, episodes=0), "at least one pull"),
        (lambda: Gittins(arms=2, episodes=9, gamma=0.0), "gamma=0.0"),
        (lambda: Gittins(arms=2, episodes=9, method="index"), "finite-horizon"),  # type: ignore[arg-type]
        (lambda: seen(Gittins(arms=2, episodes=1), [(0, 1)]), "Pull 2 of a trial of episodes=1"),
    ],
)
def test_errors_name_the_way_out(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
