"""The infos of many trials at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from rl2_sb3.tasks.step_info import KEY, StepInfo


class TrialInfos(Sequence[dict[str, Any]]):
    """The ``infos`` of a step, each made when somebody first looks at it, and kept."""

    def __init__(
        self,
        n: int,
        done: NDArray[np.bool_],
        terminal: dict[str, NDArray[Any]] | None,
        training_reward: NDArray[np.float32] | None = None,
        metrics: Mapping[str, NDArray[np.float64]] | None = None,
    ):
        self.training_reward = training_reward
        """What is learned from, ``(n,)``, where trials are privileged and tasks have one."""
        self.metrics = metrics or {}
        """Of episodes that end here, each ``(n,)``, NaN elsewhere; ``success`` is one of them."""
        self._n = n
        self._done = done
        self._terminal = terminal
        self._made: dict[int, dict[str, Any]] = {}  # SB3's wrappers write into infos

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._n))]
        if not -self._n <= index < self._n:
            raise IndexError(index)
        index %= self._n
        if index not in self._made:
            self._made[index] = self._make(index)
        return self._made[index]

    def _make(self, index: int) -> dict[str, Any]:
        info: dict[str, Any] = {}
        if self.training_reward is not None or self.metrics:
            info[KEY] = self._step_info(index)
        if self._terminal is not None and self._done[index]:
            terminal = {key: value[index] for key, value in self._terminal.items()}
            info |= {"terminal_observation": terminal, "TimeLimit.truncated": False}
        return info

    def _step_info(self, index: int) -> StepInfo:
        training = None if self.training_reward is None else float(self.training_reward[index])
        metrics = {name: float(values[index]) for name, values in self.metrics.items()}
        success = metrics.pop("success", np.nan)
        return StepInfo(
            training_reward=training,
            success=None if np.isnan(success) else bool(success),
            metrics=metrics or None,
        )
