"""Metrics of episodes, which environments report by name, gathered by trial and episode."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class EpisodeMetrics(dict[str, Array]):
    """By name, ``(trials, episodes)``: NaN where nothing was reported.

    :param trials: rows
    :param episodes: columns
    """

    def __init__(self, trials: int, episodes: int):
        super().__init__()
        self._shape = trials, episodes

    def note(
        self,
        trials: NDArray[np.integer],
        episodes: NDArray[np.integer],
        metrics: Mapping[str, Array],
    ) -> None:
        """Keep what was reported of some episodes; all arrays are ``(n,)``."""
        for name, values in metrics.items():
            if name not in self:
                self[name] = np.full(self._shape, np.nan)
            self[name][trials, episodes] = values

    def rows(self, trials: NDArray[np.bool_]) -> EpisodeMetrics:
        """Those of some trials."""
        some = EpisodeMetrics(int(trials.sum()), self._shape[1])
        some.update({name: values[trials] for name, values in self.items()})
        return some

    def forget(self, trials: NDArray[np.integer] | NDArray[np.bool_] | int) -> None:
        """Nothing was reported of these trials."""
        for values in self.values():
            values[trials] = np.nan


def stacked(parts: list[EpisodeMetrics]) -> dict[str, Array]:
    """The metrics of several lists of trials as those of one."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: np.concatenate([part.get(name, np.full(part._shape, np.nan)) for part in parts])
        for name in names
    }
