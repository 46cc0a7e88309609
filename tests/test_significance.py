import numpy as np
import pytest
from scipy import stats

from rl2_sb3.significance import p_values, paired_p_value, standard_error


def test_standard_errors() -> None:
    """Of 1, 2 and 6: deviations -2, -1 and 3, so a variance of 14 / 2."""
    assert standard_error(np.array([1.0, 2, 6])) == pytest.approx(np.sqrt(7 / 3))
    assert standard_error(np.array([5.0])) == 0


def test_a_paired_test_by_hand() -> None:
    """Differences of -1, 0 and 4 have the mean 1 and the error sqrt(7 / 3): t = 0.6547.

    With two degrees of freedom p is 1 - t / sqrt(2 + t²).
    """
    other, difference = np.array([10.0, -3, 7]), np.array([-1.0, 0, 4])
    t = 1 / np.sqrt(7 / 3)
    expected = 1 - t / np.sqrt(2 + t**2)
    assert paired_p_value(other + difference, other) == pytest.approx(expected)
    assert paired_p_value(other - difference, other) == pytest.approx(expected)  # two-sided


def test_differences_without_variance() -> None:
    same = np.array([1.0, 2, 3])
    assert paired_p_value(same, same) == 1
    assert paired_p_value(same + 1, same) == 0
    assert np.isnan(paired_p_value(same[:1], same[:1]))


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
