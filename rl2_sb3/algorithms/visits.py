"""An exploration bonus, from what the agent itself has seen in a trial."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3.trials.sizes import trial_length
from rl2_sb3.trials.spaces import OBSERVATION


def visit_bonus(
    states: NDArray[Any], actions: NDArray[Any], starts: NDArray[Any]
) -> NDArray[np.float32]:
    """``1 / (1 + N)`` of each step, ``(steps, columns)``.

    N is how often the trial has taken this action in this state before, as in BEB (Kolter & Ng
    2009).

    :param states: whole numbers from 0, ``(steps, columns)``
    :param actions: the same
    :param starts: 1 where a trial begins, ``(steps, columns)``
    """
    met = states.astype(np.int64) * (int(actions.max()) + 1) + actions.astype(np.int64)
    pairs = np.unique(met, return_inverse=True)[1].reshape(met.shape)
    columns = np.arange(states.shape[1])
    visits = np.zeros((len(columns), pairs.max() + 1))
    bonus = np.zeros(pairs.shape, np.float32)
    for step, pair in enumerate(pairs):
        visits[starts[step] > 0] = 0
        bonus[step] = 1 / (1 + visits[columns, pair])
        visits[columns, pair] += 1
    return bonus


def check_countable(trials: VecEnv | None, n_steps: int) -> None:
    """Check that a rollout tells all visits of its trials.

    :raises ValueError: observations or actions that are not Discrete, or rollouts that part trials
    """
    if trials is None:
        return  # asked again once there are some
    assert isinstance(trials.observation_space, spaces.Dict)
    parts = trials.observation_space.spaces.get(OBSERVATION), trials.action_space
    if not all(isinstance(part, spaces.Discrete) for part in parts):
        raise ValueError(
            "visit_bonus counts states and actions: it needs Discrete observations and actions."
        )
    length = trial_length(trials)
    if length is None or n_steps % length:
        raise ValueError(
            f"visit_bonus counts the visits of whole trials: n_steps={n_steps} is to be a multiple "
            f"of a trial's length, {length}."
            if length
            else "visit_bonus counts the visits of whole trials: it needs batched tasks with a "
            "horizon (BatchedTasks.horizon)."
        )


def count_from_here(trials: VecEnv, n_steps: int, obs: Any) -> Any:
    """The observation to go on from, for rollouts that begin where trials do.

    :param obs: the last one; in the middle of a trial it is dropped, and new trials begin
    :raises ValueError: see :func:`check_countable`
    """
    check_countable(trials, n_steps)
    return obs if obs is not None and np.all(obs["start"]) else None
