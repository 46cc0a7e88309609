"""Non-finite numbers, found and named before anything is learned from them or saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch import nn

from rl2_sb3.trials.checks import GREATEST


class Block(NamedTuple):
    """A rollout's steps so far; all arrays have the axes step, environment."""

    observations: Mapping[str, NDArray[Any]]
    """Before each step."""
    last: Mapping[str, NDArray[Any]]
    """The observation after them, axis 0 the environment."""
    rewards: NDArray[np.floating]
    """What is learned from."""

    def check(self) -> None:
        """See that all is finite: one reduction of each part.

        :raises RuntimeError: something is not; it names the part, the environment and the step
        """
        for key, part in self.observations.items():
            self._check(key, part, 0)
        steps = len(self.rewards)
        for key, part in self.last.items():
            self._check(key, np.asarray(part)[None], steps)
        self._check("reward that is learned from", self.rewards, 1)

    def _check(self, name: str, values: NDArray[Any], first: int) -> None:
        """:param first: number of the step that the first row came from."""
        if values.dtype.kind != "f" or not values.size:
            return
        if values.max() <= GREATEST and values.min() >= -GREATEST:  # both are false for NaN
            return
        at = np.argwhere(~(np.abs(values) <= GREATEST))[0]
        step, column = first + int(at[0]), int(at[1])
        begun = int(self.observations["start"][1:step, column].sum())
        raise RuntimeError(
            f"Environment {column}, in trial {begun} of the rollout, step {step} of the rollout, "
            f"hands in {name} {values[tuple(at)]}, not a finite number. Nothing was learned from "
            "it, and the last checkpoint is as it was. Mend the environment."
        )


def not_finite(policy: nn.Module, optimizer: th.optim.Optimizer | None = None) -> str | None:
    """The name of a tensor of a policy or its optimiser that is not finite, if there is one."""
    for name, tensor in _tensors(policy, optimizer):
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            return name
    return None


def _tensors(
    policy: nn.Module, optimizer: th.optim.Optimizer | None
) -> Iterator[tuple[str, th.Tensor]]:
    yield from policy.state_dict().items()
    if optimizer is not None:
        for of_parameter in optimizer.state.values():
            for name, value in of_parameter.items():
                if isinstance(value, th.Tensor):
                    yield f"the optimiser's {name}", value
