"""The paper's test of which means are as good as the best, and a sharper one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats


class PValues(NamedTuple):
    """How probable so low a mean is if the true one is not below the other's."""

    welch: float
    """By Welch's test, which takes the samples for independent."""
    paired: float
    """By the paired test, which common instances make sharper."""


def p_values(sample: NDArray[np.float64], best: NDArray[np.float64]) -> PValues:
    """One-sided t-tests of a sample's mean against a higher one.

    :param sample: returns of one agent, a value an instance
    :param best: returns of the other agent on the same instances
    """
    difference = sample - best
    if np.all(difference == difference[0]):  # no variance: t is 0 / 0 or infinite
        paired = 0.5 if difference[0] == 0 else float(difference[0] > 0)
    else:
        paired = float(stats.ttest_rel(sample, best, alternative="less").pvalue)
    if sample.std() == best.std() == 0:
        return PValues(paired, paired)
    welch = stats.ttest_ind(sample, best, equal_var=False, alternative="less")
    return PValues(float(welch.pvalue), paired)
