from __future__ import annotations

import torch as th

from rl2_sb3.memories import Sums


def test_sums_run_through_a_trial_and_begin_anew_with_the_next() -> None:
    x = th.tensor([[[1.0, -2.0]], [[0.5, 0.0]], [[3.0, 1.0]]])  # three steps of one column
    before = th.tensor([[10.0, 0.0]])

    seen, last = Sums(2)(x, before)
    sums = th.tensor([[[11.0, -2.0]], [[11.5, -2.0]], [[14.5, -1.0]]])
    th.testing.assert_close(seen, th.cat([x, sums.sign() * (1 + sums.abs()).log()], dim=2))
    assert last.tolist() == [[14.5, -1.0]]

    seen, last = Sums(2)(x, before, th.tensor([1.0, 1.0, 0.0]).view(3, 1, 1))
    sums[2] = x[2]
    th.testing.assert_close(seen, th.cat([x, sums.sign() * (1 + sums.abs()).log()], dim=2))
    assert last.tolist() == [[3.0, 1.0]]
