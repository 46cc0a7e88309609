"""Two ranks give the update that one process gives with the same trials."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch as th
from torch.multiprocessing.spawn import spawn

from tests.ranks.same import CASES, COLUMNS, RANKS, Weights, as_rank

Found = dict[str, tuple[Weights, Weights]]


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What each of the ranks has learned."""
    folder = tmp_path_factory.mktemp("ranks")
    spawn(as_rank, (str(folder),), RANKS)  # type: ignore[no-untyped-call]
    return [th.load(Path(folder, f"{rank}.pt")) for rank in range(RANKS)]


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_and_one(name: str, of_ranks: list[Found]) -> None:
    before, one = CASES[name](tuple(range(COLUMNS)))
    (begun, first), (_, second) = (found[name] for found in of_ranks)
    moved = 0.0
    for tensor, expected in one.items():
        th.testing.assert_close(begun[tensor], before[tensor], rtol=0, atol=0)
        th.testing.assert_close(first[tensor], second[tensor], rtol=0, atol=0)
        th.testing.assert_close(first[tensor], expected, rtol=1e-5, atol=1e-5, msg=tensor)
        moved = max(moved, float((expected - before[tensor]).abs().max()))
    assert moved > 1e-3
