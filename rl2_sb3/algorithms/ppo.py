"""RL²  with proximal policy optimisation."""

from __future__ import annotations

from typing import Any

import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from stable_baselines3.common.utils import FloatSchedule

from rl2_sb3.algorithms.rollouts import TrialRollouts
from rl2_sb3.algorithms.threads import check_threads
from rl2_sb3.algorithms.updates import Loss, Updates
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.trials.make import as_trials, rollout_size


class RL2PPO(TrialRollouts, PPO):
    """PPO whose rollouts are trials: memory lives across episodes and dies with the trial.

    Parameters that are not listed are those of :class:`stable_baselines3.PPO`.

    :param policy: ``"GRUPolicy"``, ``"CnnGRUPolicy"`` or a subclass of :class:`GRUPolicy`
    :param env: trials, or a plain environment, its id or a task distribution's name
    :param episodes: episodes per trial where ``env`` is plain (default 2)
    :param n_steps: length of a rollout; by default a whole trial where all have one length
    :param batch_size: steps in a minibatch, a multiple of ``n_steps``: minibatches are sets of
        columns; by default a quarter of them
    :param value_lambda: lambda of the returns that the value network learns from, by default
        ``gae_lambda``; with 1, whole returns, it need not learn from its own guesses
    :param ent_coef: weight of the entropy; a schedule can let it fall, as with the learning rate
    :param threads: of the processor, in :meth:`learn` and imitation alone; by default
        one for small networks and minibatches; with convolutions, or from 256 units and 64 columns
        a minibatch on, as many as pay, at most 8
    :raises ValueError: a ``batch_size`` that cuts trials, an environment that cannot be wrapped, or
        ``threads`` that are neither None nor a whole number from 1 on
    """

    def __init__(
        self,
        policy: str | type[GRUPolicy],
        env: GymEnv | str | None,
        learning_rate: float | Schedule = 1e-3,
        n_steps: int | None = None,
        batch_size: int | None = None,
        n_epochs: int = 5,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        value_lambda: float | None = None,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float | Schedule = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        target_kl: float | None = None,
        episodes: int | None = None,
        threads: int | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
    ):
        check_threads(threads)
        trials = None if env is None else as_trials(env, episodes)
        n_steps, batch_size = rollout_size(trials, n_steps, batch_size)
        self.episodes = episodes
        self.value_lambda = value_lambda
        self.threads = threads
        super().__init__(
            policy,
            trials,
            learning_rate=learning_rate,
            n_steps=n_steps,
            batch_size=batch_size,
            n_epochs=n_epochs,
            gamma=gamma,
            gae_lambda=gae_lambda,
            clip_range=clip_range,
            clip_range_vf=clip_range_vf,
            normalize_advantage=normalize_advantage,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            target_kl=target_kl,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
        )

    def train(self) -> None:
        """Update policy and value from the rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        now = self._current_progress_remaining
        limit = self.clip_range_vf
        loss = Loss(
            FloatSchedule(self.clip_range)(now),
            FloatSchedule(self.ent_coef)(now),
            self.vf_coef,
            None if limit is None else FloatSchedule(limit)(now),
            self.normalize_advantage,
        )
        updates = Updates(self.policy, loss, self.max_grad_norm, self.target_kl)
        discrete = self.action_space.shape == ()
        for epoch in range(self.n_epochs):
            go_on = updates.epoch(self.rollout_buffer.get(self.batch_size), discrete)
            self._n_updates += 1
            if not go_on:
                if self.verbose >= 1:
                    print(f"Early stopping at epoch {epoch}: the KL divergence exceeds its target.")
                break
        self.log_update(updates.figures())
        self.logger.record("train/clip_range", loss.clip_range)
        if loss.clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", loss.clip_range_vf)
