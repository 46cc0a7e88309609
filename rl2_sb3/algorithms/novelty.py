"""A bonus in learning for what a trial has not tried yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3.trials.spaces import OBSERVATION


class Novelty:
    """Which actions each trial has taken in which states.

    :param observation_space: that of trials
    :raises ValueError: the task's observations or actions are not ``Discrete``
    """

    def __init__(
        self, observation_space: spaces.Dict, action_space: spaces.Space[Any], n_envs: int
    ):
        state = observation_space.spaces.get(OBSERVATION)
        if not (isinstance(state, spaces.Discrete) and isinstance(action_space, spaces.Discrete)):
            raise ValueError(
                "novelty_coef counts states and actions, which takes Discrete observations and "
                f"actions, not {state} and {action_space}: use novelty_coef=0."
            )
        self.tried = np.zeros((n_envs, int(state.n), int(action_space.n)), np.bool_)

    def first_times(self, obs: dict[str, NDArray[Any]], actions: NDArray[Any]) -> NDArray[np.bool_]:
        """Where an action is taken for the first time in its state and trial, and note it.

        :param obs: the trials' observation that the actions answer
        :param actions: ``(n_envs,)``
        :return: ``(n_envs,)``
        """
        self.tried[obs["start"][:, 0] > 0] = False
        at = np.arange(len(actions)), obs[OBSERVATION].reshape(-1).astype(int), actions
        first: NDArray[np.bool_] = ~self.tried[at]
        self.tried[at] = True
        return first
