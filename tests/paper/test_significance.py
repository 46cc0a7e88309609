import numpy as np
import pytest
from rl2_paper.significance import p_values
from scipy import stats


def test_p_values() -> None:
    """Both tests from their formulas: the same difference, with and without the pairs."""
    best = np.array([3.0, 5, 4, 8, 6])
    worse = best - np.array([1.0, 0, 2, 1, 0])
    welch, paired = p_values(worse, best)
    t = 0.8 / np.sqrt(best.var(ddof=1) / 5 + worse.var(ddof=1) / 5)
    assert welch == pytest.approx(stats.t.sf(t, 7.81), abs=0.002)
    assert paired == pytest.approx(stats.t.sf(0.8 / np.sqrt(0.7 / 5), 4))
    assert p_values(best, best) == pytest.approx((0.5, 0.5))
    assert p_values(np.zeros(3), np.ones(3)) == (0.0, 0.0)
