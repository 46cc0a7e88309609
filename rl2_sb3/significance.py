"""How sure a mean is, and a difference of two, on instances that both agents have played."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def standard_error(sample: NDArray[np.floating]) -> float:
    """Standard error of the mean of independent values; 0 for a single one."""
    return float(stats.sem(sample)) if len(sample) > 1 else 0.0


def paired_p_value(sample: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """How probable so large a difference is if the true means are equal: a paired t-test.

    Two-sided; sharper than a test of independent samples where both met the same tasks and noise.

    :param sample: values of the one, ``(trials,)``
    :param other: values of the other in the same trials
    :return: NaN for a single trial
    """
    difference = sample - other
    if len(difference) < 2:
        return float("nan")
    if np.all(difference == difference[0]):  # no variance: t is 0 / 0 or infinite
        return float(difference[0] == 0)
    return float(stats.ttest_rel(sample, other).pvalue)
