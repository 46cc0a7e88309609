"""RL²  with proximal policy optimisation."""

from __future__ import annotations

from typing import Any

from stable_baselines3 import PPO
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import FloatSchedule

from rl2_sb3.algorithms.critic import warms_up
from rl2_sb3.algorithms.options import takes
from rl2_sb3.algorithms.rollouts import TrialRollouts
from rl2_sb3.algorithms.updates import Loss, Updates
from rl2_sb3.config import LearningConfig
from rl2_sb3.policies import GRUPolicy


class RL2PPO(TrialRollouts, PPO):
    """PPO whose rollouts are trials: memory lives across episodes and dies with the trial.

    Its options are keywords: the fields of :class:`rl2_sb3.config.LearningConfig`, with the
    defaults of ``rl2 train``, and those of :class:`stable_baselines3.PPO`. A learning rate or an
    entropy coefficient that is given as a number stays, unless ``lr_decay`` or ``ent_decay`` is
    given too; the defaults decay over the run.

    :param policy: ``"GRUPolicy"``, ``"CnnGRUPolicy"`` or a subclass of :class:`GRUPolicy`
    :param env: trials, or a plain environment, its id or a task distribution's name
    :param episodes: episodes per trial where ``env`` is plain (default 10)
    :param n_steps: length of a rollout; by default a whole trial where all have one length
    :param trials_per_batch: columns of a rollout in a minibatch; by default a quarter of them
    :param batch_size: the same in steps, a multiple of ``n_steps``
    :param value_lambda: lambda of the returns that the value network learns from, by default
        ``gae_lambda``
    :param policy_kwargs: fields of :class:`rl2_sb3.config.PolicyConfig`, and SB3's
    :param threads: of the processor, in :meth:`learn` and imitation alone; by default
        one for small networks and minibatches; with convolutions, or from 256 units and 64 columns
        a minibatch on, as many as pay, at most 8
    :raises TypeError: an unknown option
    :raises ValueError: a ``batch_size`` that cuts trials, an environment that cannot be wrapped, or
        ``threads`` that are neither None nor a whole number from 1 on
    """

    @takes(PPO, LearningConfig)
    def __init__(
        self, policy: str | type[GRUPolicy], env: GymEnv | str | None, **options: Any
    ) -> None:
        super().__init__(policy, env, **options)

    def train(self) -> None:
        """Update policy and value from the rollout."""
        if warms_up(self, self.n_epochs):
            return
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
        self.follow_observations()
        self.logger.record("train/clip_range", loss.clip_range)
        if loss.clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", loss.clip_range_vf)
