import numpy as np
import pytest

from rl2_sb3.significance import paired_p_value, standard_error


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
