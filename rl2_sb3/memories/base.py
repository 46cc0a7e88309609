"""What a memory is: a recurrence over blocks of steps, whose state is one flat tensor."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch as th
from torch import nn


class Memory(nn.Module, ABC):
    """Maps a block of inputs and a flat state to a block of outputs and the next state.

    The constructor takes ``inputs``, the number of input features, ``size``, the policy's
    ``hidden_size``, and the memory's own options as keyword arguments (``memory_kwargs``). Where it
    has an option ``precision``, the policy's is passed, ``"fp32"`` or ``"bf16"``. Where it has an
    argument ``parts``, it is told where each part of a step stands among the inputs,
    ``{"action": slice(1, 6), ...}``: that needs discrete actions, and no layers before the memory.
    A memory initialises its parameters itself: the policy leaves them as they are. The state of a
    new trial is zero.

    A distribution registers its memories under the entry-point group ``rl2_sb3.memories``;
    :func:`rl2_sb3.testing.check_memory` tests what is said here.
    """

    state_size: int
    """Numbers of one column's state."""
    output_size: int
    """Numbers of one column's output."""
    partial_resets: ClassVar[bool] = False
    """Whether ``keep`` may be ``(steps, columns, state_size)``, to forget a part of the state."""
    of_actions: ClassVar[bool] = False
    """Whether its output is one part for each action, of the same size, side by side: the policy
    then makes each action's logit from its own part, by the same weights."""
    own_layers: ClassVar[bool] = False
    """Whether it is for value networks alone, and has no layers around it there."""
    fixed: ClassVar[bool] = False
    """Whether it has no parameters: over fixed features it runs once a rollout, not once a pass."""

    @abstractmethod
    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """Run over a block; the arguments are left as they are.

        :param x: inputs, ``(steps, columns, inputs)``
        :param state: before the first step, ``(columns, state_size)``; often a part of a larger
            tensor, whose rows do not follow each other
        :param keep: what the state is multiplied by before each step, 0 where it is forgotten, else
            1: ``(steps, columns, 1)``; ``None`` for 1 everywhere
        :return: outputs ``(steps, columns, output_size)``, and the state after the last step
        """

    def fit_weights(self, weights: dict[str, th.Tensor], prefix: str) -> str:
        """Change another run's weights in place, so that this memory can take them on.

        What then does not fit of the acting part is refused; a value network begins anew. Nothing
        is changed by default.

        :param weights: of the other policy, by their names
        :param prefix: that the names of this memory's begin with
        :return: what was changed, in words for the user; "" for nothing
        """
        return ""


def accepted(kind: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a constructor has parameters for."""
    parameters = inspect.signature(kind).parameters
    return {name: value for name, value in options.items() if name in parameters}
