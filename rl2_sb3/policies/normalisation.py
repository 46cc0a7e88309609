"""Running statistics of the task's own observation, which normalise its continuous parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.preprocessing import is_image_space
from torch import nn

from rl2_sb3 import pooled, ranks
from rl2_sb3.trials.checks import GREATEST
from rl2_sb3.trials.spaces import FEEDBACK, PRIVILEGED

CLIP = 10.0
"""Bound on normalised observations, in standard deviations."""
REWARD = "reward"
UNSEEN = (*FEEDBACK, PRIVILEGED)
"""Parts of a trial's observation that are not the task's own."""


class Moments(NamedTuple):
    """Of one part of the observation; mean and standard deviation have its shape."""

    seen: int
    """Values."""
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def with_rows(self, rows: NDArray[Any], centred: bool = True) -> Moments:
        """The moments of these and some more values (Chan et al. 1979).

        :param rows: axis 0 the value; other ranks have as many
        :param centred: False: the mean stays 0, and the deviation is from it
        """
        old, new = self.seen, len(rows) * ranks.size()
        count = old + new
        if not centred:
            mean_square = np.square(rows, dtype=np.float64).mean(axis=0)
            if ranks.size() > 1:
                mean_square = ranks.mean(th.as_tensor(mean_square)).numpy()
            squares = (old * self.deviation**2 + new * mean_square) / count
            return Moments(count, self.mean, np.sqrt(squares))
        mean, variance = rows.mean(axis=0, dtype=np.float64), rows.var(axis=0, dtype=np.float64)
        if ranks.size() > 1:
            mean, variance = pooled.array_moments(mean, variance)
        apart = mean - self.mean
        squares = old * self.deviation**2 + new * variance
        squares += apart**2 * (old * new / count)
        return Moments(count, self.mean + apart * (new / count), np.sqrt(squares / count))


class ObservationStatistics(nn.Module):
    """Running mean and standard deviation of the continuous parts of the task's own observation.

    Of the last reward it is the root mean square, since 0 says that there was none.

    They are buffers of the policy: saved with it, and in an agent's file. They change where
    :meth:`follow` is called alone, which is between two rollouts: what learning sees is what acting
    did. Evaluation and deployment leave them as they are.

    :param observation_space: of the trials
    """

    count: th.Tensor

    def __init__(self, observation_space: spaces.Dict):
        super().__init__()
        self.keys = [*continuous(observation_space), REWARD]
        self.register_buffer("count", th.zeros((), dtype=th.int64))
        for key in self.keys:
            shape = observation_space[key].shape or ()
            self.register_buffer(f"{key}_mean", th.zeros(shape))
            self.register_buffer(f"{key}_deviation", th.zeros(shape))  # 0: not known

    def forward(self, parts: dict[str, th.Tensor]) -> dict[str, th.Tensor]:
        """Preprocessed observations, with their continuous parts normalised and clipped.

        :param parts: axis 0 the row
        """
        return {**parts, **{key: self._normalised(key, parts[key]) for key in self.keys}}

    def _normalised(self, key: str, values: th.Tensor) -> th.Tensor:
        mean, deviation = self._statistics(key)
        units = deviation.where(deviation > 0, 1.0)
        return ((values - mean) / units).clamp(-CLIP, CLIP)

    def _statistics(self, key: str) -> tuple[th.Tensor, th.Tensor]:
        return getattr(self, f"{key}_mean"), getattr(self, f"{key}_deviation")

    def follow(self, observations: Mapping[str, NDArray[Any]]) -> None:
        """Take in a rollout's observations, of all steps, environments and ranks.

        Numbers that have been constant so far are shifted, not scaled.

        :param observations: each part with any leading axes
        """
        count = int(self.count)
        for key in self.keys:
            mean, deviation = self._statistics(key)
            old = Moments(count, mean.double().cpu().numpy(), deviation.double().cpu().numpy())
            rows = observations[key].reshape(-1, *mean.shape)
            new = old.with_rows(rows, centred=key != REWARD)
            varied = new.deviation > 1e-6 * np.abs(new.mean)  # else it is rounding
            mean.copy_(th.as_tensor(new.mean))
            deviation.copy_(th.as_tensor(np.where(varied, new.deviation, 0.0)))
            self.count.fill_(new.seen)


def continuous(observation_space: spaces.Dict) -> list[str]:
    """The parts of the task's own observation that are real numbers and no images."""
    return [
        key
        for key, part in observation_space.items()
        if key not in UNSEEN and isinstance(part, spaces.Box) and not is_image_space(part)
    ]


def unbounded(observation_space: spaces.Dict) -> list[str]:
    """Those of them that are unbounded, in part at least."""
    return [key for key in continuous(observation_space) if _is_unbounded(observation_space[key])]


def _is_unbounded(box: Any) -> bool:
    return bool((box.low <= -GREATEST).any() or (box.high >= GREATEST).any())
