"""Statistics of trials: returns per trial and per episode, logged under ``trial/``."""

from __future__ import annotations

from collections import deque
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import (
    BaseCallback,
    ConvertCallback,
    ProgressBarCallback,
)
from stable_baselines3.common.type_aliases import MaybeCallback

from rl2_sb3 import ranks
from rl2_sb3.trials.episode_metrics import EpisodeMetrics, stacked
from rl2_sb3.trials.make import env_episodes
from rl2_sb3.trials.steps import TrialStep

POSITIONS_SHOWN = 10
RETURNS = "adaptation/returns"
"""What the log has for outputs that take arrays: of the trials that ended in a rollout, the return
of each episode, ``(trials, episodes)``, NaN where a trial was cut before."""
NUMBERS_ALONE = ("stdout", "log", "json", "csv", "tensorboard")
"""Outputs that do not."""
REPLAYED_COLUMNS = 8
TOLERANCE = {"fp32": 1e-3, "bf16": 0.1}


class EveryRank(BaseCallback):
    """A callback of all ranks; others are called on the first alone, where they may write."""


def of_this_rank(given: MaybeCallback) -> list[BaseCallback]:
    """Of the callbacks that an algorithm is given those that this rank calls."""
    if not isinstance(given, (list, BaseCallback)):
        given = ConvertCallback(given)
    callbacks = given if isinstance(given, list) else [given]
    return [each for each in callbacks if ranks.is_first() or isinstance(each, EveryRank)]


class Ended(NamedTuple):
    """A rollout's trials that ended, in the order of their ends, and what else is logged."""

    returns: list[NDArray[np.floating]]
    """Of each episode, ``(trials, episodes)``; NaN for one that was not played."""
    lengths: list[NDArray[np.int64]]
    successes: list[NDArray[np.floating]]
    """Of episodes, 1 or 0."""
    metrics: list[EpisodeMetrics]
    lost: int
    replay_error: float
    auxiliary: dict[str, float]
    """Errors of auxiliary losses in the last minibatch."""

    def joined(self, other: Ended) -> Ended:
        """These and another rank's."""
        return Ended(
            self.returns + other.returns,
            self.lengths + other.lengths,
            self.successes + other.successes,
            self.metrics + other.metrics,
            self.lost + other.lost,
            max(self.replay_error, other.replay_error),
            self.auxiliary,
        )


class TrialCallback(BaseCallback):
    """Logs statistics of trials and checks that memory is carried and reset where it should be.

    ``learn()`` always attaches one. It logs, over the trials that ended in a rollout,
    ``trial/return``, ``trial/length``, ``trial/gain`` (return of the last episode minus that of
    the first), ``trial/success`` (share of episodes that their environment calls a success: see
    :class:`~rl2_sb3.tasks.StepInfo`), and ``trial/return_episode_<i>``, for at most ten episodes;
    ``metrics/<name>`` and ``metrics/<name>_episode_<i>``, the means of what environments report of
    episodes beside that; and ``trial/lost``, how many trials were cut by their simulator's death,
    if any: they count for nothing else; and ``trial/prediction_loss``, the last minibatch's error
    of predicting the privileged observation, if the memory learns that.

    At each rollout's end it replays some columns as learning will, and compares the
    log-probabilities with those of acting: ``trial/replay_error``. On several ranks the trials are
    those of all of them; those of SB3's ``rollout/``, and the prediction loss, are the first's.

    :raises RuntimeError: memory was lost, kept too long, or fed otherwise in acting than in
        learning
    """

    def _on_training_start(self) -> None:
        n, obs = self.training_env.num_envs, self.model._last_obs
        assert isinstance(obs, dict)
        self.episodes = env_episodes(self.training_env)
        self._returns = np.zeros((n, self.episodes))
        self._lengths = np.zeros(n, np.int64)
        self._position = np.zeros(n, np.int64)
        self._success = np.full((n, self.episodes), np.nan)  # successes, 1 or 0
        self._metrics = EpisodeMetrics(n, self.episodes)
        self._whole = obs["start"][:, 0].astype(bool)  # those that began under our eyes
        self.recent: deque[float] = deque(maxlen=100)
        """Returns of the last hundred trials."""
        self._clear()

    def _clear(self) -> None:
        self._ended_returns: list[NDArray[np.floating]] = []
        self._ended_lengths: list[NDArray[np.int64]] = []
        self._successes: list[NDArray[np.floating]] = []
        self._ended_metrics: list[EpisodeMetrics] = []
        self._lost = 0

    def _on_step(self) -> bool:
        came: TrialStep = self.locals["came"]
        dones, ended = came.trial_ended, came.episode_ended
        starts = came.observation["start"][:, 0].astype(bool)
        if not np.array_equal(starts, dones) or (self._position == self.episodes).any():
            raise RuntimeError(
                "A trial's start must follow a trial's end, and nothing else: some wrapper around "
                "the trials changes the observation's 'start' or ends trials early, or something "
                "else steps the training environment, such as an EvalCallback: give it one of its "
                "own."
            )
        columns = np.arange(len(dones))
        self._returns[columns, self._position] += came.reward
        self._lengths += 1
        if ended.any():
            at = columns[ended], self._position[ended]
            self._success[at] = came.success[ended]
            self._metrics.note(*at, {name: x[ended] for name, x in came.metrics.items()})
            self._position += ended
        if dones.any():
            self._note_trials(dones, came.lost)
        return True

    def _note_trials(self, dones: NDArray[np.bool_], lost: NDArray[np.bool_]) -> None:
        whole = dones & self._whole & ~lost
        self._lost += int(lost.sum())
        # NaN stands for the episodes that a time limit around the trial left out.
        played = np.arange(self.episodes) < self._position[whole, None]
        returns = np.where(played, self._returns[whole], np.nan)
        self._ended_returns.append(returns)
        self._ended_lengths.append(self._lengths[whole])
        success = self._success[whole]
        self._successes.append(success[np.isfinite(success)])
        self.recent.extend(np.nansum(returns, axis=1)[-100:].tolist())
        self._whole |= dones
        if self._metrics:
            self._ended_metrics.append(self._metrics.rows(whole))
            self._metrics.forget(dones)
        self._returns[dones], self._success[dones] = 0, np.nan
        self._lengths[dones] = self._position[dones] = 0
        # SB3's own statistics, rollout/ep_rew_mean and ep_len_mean, over the same trials.
        buffer = self.model.ep_info_buffer
        if buffer is not None:
            last = zip(self._ended_returns[-1][-100:], self._ended_lengths[-1][-100:], strict=True)
            buffer.extend({"r": float(np.nansum(r)), "l": int(length)} for r, length in last)

    def _on_rollout_end(self) -> None:
        policy: Any = self.model.policy
        own = Ended(
            *(self._ended_returns, self._ended_lengths, self._successes, self._ended_metrics),
            lost=self._lost,
            replay_error=self._replay_error(),
            auxiliary={each.name: each.last for each in policy.auxiliary_losses()},
        )
        self._clear()
        self._log_trials(reduce(Ended.joined, ranks.gather(own)))

    def _log_trials(self, ended: Ended) -> None:
        """Log what ended, of all ranks together."""
        if ended.returns and sum(map(len, ended.returns)):
            returns = np.concatenate(ended.returns)
            left_out = np.isnan(returns)
            with np.errstate(invalid="ignore"):  # an episode that no trial came to
                per_episode = np.nansum(returns, axis=0) / (~left_out).sum(axis=0)
            self.logger.record(RETURNS, returns, exclude=NUMBERS_ALONE)
            self._log("return", np.nansum(returns, axis=1).mean())
            self._log("length", np.concatenate(ended.lengths).mean())
            if not left_out[:, -1].all():
                self._log("gain", per_episode[-1] - per_episode[0])
            for i, name in self._shown():
                if not left_out[:, i].all():
                    self._log(f"return_{name}", per_episode[i])
            successes = np.concatenate(ended.successes)
            if len(successes):
                self._log("success", successes.mean())
        self._log_metrics(ended.metrics)
        if ended.lost:
            self._log("lost", ended.lost)
        for name, error in ended.auxiliary.items():
            if np.isfinite(error):  # after the first update
                self._log(name, error)
        self._log("replay_error", ended.replay_error)

    def _shown(self) -> list[tuple[int, str]]:
        """The episodes whose means are logged, and what they are called."""
        shown = np.linspace(0, self.episodes - 1, min(self.episodes, POSITIONS_SHOWN))
        width = len(str(self.episodes))
        return [(i, f"episode_{i + 1:0{width}}") for i in shown.round().astype(int)]

    def _log_metrics(self, ended: list[EpisodeMetrics]) -> None:
        for name, values in stacked(ended).items():
            means = {f"_{episode}": values[:, i] for i, episode in self._shown()}
            for suffix, part in {"": values, **means}.items():
                known = part[np.isfinite(part)]
                if len(known):  # SB3's table in the terminal has no room for the longer names
                    exclude = "stdout" if suffix else None
                    self.logger.record(f"metrics/{name}{suffix}", known.mean(), exclude=exclude)

    def _log(self, name: str, value: Any) -> None:
        self.logger.record(f"trial/{name}", float(value))

    def _replay_error(self) -> float:
        """Largest difference of a log-probability between learning and acting."""
        model: Any = self.model  # an RL2PPO or RL2TRPO; imports go downwards
        buffer, policy = model.rollout_buffer, model.policy
        columns = np.linspace(0, buffer.n_envs - 1, min(buffer.n_envs, REPLAYED_COLUMNS))
        batch = buffer.columns(columns.astype(int))
        discrete = model.action_space.shape == ()
        actions = batch.actions.long().flatten() if discrete else batch.actions
        with th.no_grad():
            log_prob = policy.evaluate(batch.observations).distribution.log_prob(actions)
        error = float((log_prob - batch.old_log_prob).abs().max())
        tolerance = TOLERANCE[policy.config.precision]
        if not error <= tolerance * max(1.0, float(batch.old_log_prob.abs().max())):
            raise RuntimeError(
                f"Replayed log-probabilities differ from collected ones by {error:.2g}: the policy "
                "does not carry or reset its memory in learning as it does in acting."
            )
        return error


class TrialProgressBar(ProgressBarCallback):
    """SB3's progress bar, with the mean return of recent trials; steps are those of all ranks."""

    def __init__(self, trials: TrialCallback):
        super().__init__()
        self.trials = trials

    def _on_step(self) -> bool:
        for _ in range(ranks.size()):
            super()._on_step()
        return True

    def _on_rollout_end(self) -> None:
        if self.trials.recent:
            mean = np.mean(self.trials.recent)
            self.pbar.set_description(f"trial return {mean:.3f}")
