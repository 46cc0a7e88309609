"""The one loop that plays trials: evaluation, animations and recordings stand on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3.trials.checks import FlawError, check_finite, refusal
from rl2_sb3.trials.steps import TrialStep, read_step


class Predictor(Protocol):
    """An agent: an SB3 model or policy, an :class:`~rl2_sb3.agent.Agent`, a baseline."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Choose actions and give the next state."""


class PlayedStep(NamedTuple):
    """A step of every column; all arrays have axis 0 the column."""

    trial: NDArray[np.int64]
    """Number of the trial: column ``c`` plays the trials ``c``, ``c + n_envs``, ..."""
    episode: NDArray[np.int64]
    """Number of the episode in its trial."""
    busy: NDArray[np.bool_]
    """Whether the trial is one of those asked for; a column that has none left goes on idly."""
    observation: dict[str, NDArray[Any]]
    """What the agent saw."""
    action: NDArray[Any]
    came: TrialStep
    """What came of it."""


def play(
    agent: Predictor,
    trials: VecEnv,
    n_trials: int | None = None,
    deterministic: bool = False,
    observation: dict[str, NDArray[Any]] | None = None,
) -> Iterator[PlayedStep]:
    """Let an agent act, step by step.

    A trial that is lost is played again: its steps come once more, from its first, with the same
    numbers.

    :param agent: anything with SB3's ``predict`` over observations of trials
    :param trials: of :func:`~rl2_sb3.trials.make_trials`, or wrappers around them
    :param n_trials: end when so many trials are over; by default never
    :param deterministic: take the likeliest action; by default actions are sampled, as in training
    :param observation: the first of new trials in all columns; by default the trials are reset
    """
    n = trials.num_envs
    trial, episode, step = np.arange(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
    obs: Any = trials.reset() if observation is None else observation
    state, start = None, np.ones(n, np.bool_)
    while n_trials is None or (trial < n_trials).any():
        try:
            actions, state = agent.predict(
                obs, state=state, episode_start=start, deterministic=deterministic
            )
        except Exception:
            _check_finite(obs, trial, step)  # a NaN is the cause; the error is its effect
            raise
        came = read_step(*trials.step(actions), trials=trials)
        busy = np.ones(n, np.bool_) if n_trials is None else trial < n_trials
        yield PlayedStep(trial, episode, busy, obs, actions, came)
        obs, start = came.observation, came.trial_ended
        episode = np.where(start, 0, episode + came.episode_ended)
        step = np.where(start, 0, step + 1)
        trial = np.where(start & ~came.lost, trial + n, trial)


def _check_finite(
    observation: dict[str, NDArray[Any]], trial: NDArray[np.int64], step: NDArray[np.int64]
) -> None:
    """:raises RuntimeError: an observation that is not finite; it names where it is."""
    try:
        for key, part in observation.items():
            check_finite(key, np.asarray(part))
    except FlawError as flaw:
        column = flaw.row
        raise refusal(flaw, str(column), int(trial[column]), int(step[column])) from None
