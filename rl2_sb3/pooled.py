"""Statistics of the values that all ranks have together; in one process those of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common import utils

from rl2_sb3 import ranks


def moments(means: th.Tensor, variances: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """Means and variances of all ranks' values together, of the same shape, in float64.

    :param means: of this rank's values, as many as those of each other rank
    :param variances: theirs, without Bessel's correction
    """
    of_ranks = ranks.gather_tensors(th.stack([means, variances]).double())
    common = of_ranks[:, 0].mean(dim=0)
    return common, (of_ranks[:, 1] + (of_ranks[:, 0] - common).square()).mean(dim=0)


def array_moments(
    means: NDArray[Any] | np.floating, variances: NDArray[Any] | np.floating
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """:func:`moments` of arrays."""
    common, spread = moments(th.as_tensor(means), th.as_tensor(variances))
    return common.numpy(), spread.numpy()


def mean_and_deviation(
    values: NDArray[np.floating], dtype: type[np.floating] | None = None
) -> tuple[float, float]:
    """Mean and standard deviation of an array's values, over all ranks.

    :param dtype: to compute them in; by default, in one process, the array's
    """
    mean, deviation = values.mean(dtype=dtype), values.std(dtype=dtype)
    if ranks.size() > 1:
        common, variance = array_moments(
            values.mean(dtype=np.float64), values.var(dtype=np.float64)
        )
        mean, deviation = common[()], np.sqrt(variance)[()]
    return mean, deviation


def standardised(values: th.Tensor) -> th.Tensor:
    """Values with the mean 0 and the standard deviation 1 over all ranks."""
    if ranks.size() == 1:
        return (values - values.mean()) / (values.std() + 1e-8)
    own = values.double()
    common, variance = moments(own.mean(), own.var(correction=0))
    count = values.numel() * ranks.size()
    deviation = (variance * count / (count - 1)).sqrt()
    return ((own - common) / (deviation + 1e-8)).to(values.dtype)


def explained_variance(values: NDArray[Any], returns: NDArray[Any]) -> float:
    """Share of the returns' variance that values explain, over all ranks; NaN where there is none.

    In one process SB3's function of this name.
    """
    if ranks.size() == 1:
        return float(utils.explained_variance(values, returns))
    both = np.stack([returns, returns - values]).astype(np.float64)
    whole, rest = array_moments(both.mean(axis=1), both.var(axis=1))[1]
    return float("nan") if whole == 0 else float(1 - rest / whole)
