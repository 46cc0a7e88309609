"""RL² with trust region policy optimisation: the paper's first-order step, or the natural one."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch as th
from sb3_contrib import TRPO
from stable_baselines3.common.distributions import Distribution, kl_divergence
from stable_baselines3.common.type_aliases import (
    DictRolloutBufferSamples,
    GymEnv,
    Schedule,
)
from stable_baselines3.common.utils import FloatSchedule
from torch import nn

from rl2_sb3 import pooled, ranks
from rl2_sb3.algorithms.critic import learn_values, warms_up
from rl2_sb3.algorithms.natural import natural_step
from rl2_sb3.algorithms.options import takes
from rl2_sb3.algorithms.rollouts import TrialRollouts
from rl2_sb3.algorithms.updates import Loss, Updates
from rl2_sb3.algorithms.vectors import assign, flat
from rl2_sb3.config import LearningConfig, TRPOConfig
from rl2_sb3.policies import GRUPolicy

TARGET_KL = 0.01
"""Bound on an update's mean KL divergence where none is given."""


class RL2TRPO(TrialRollouts, TRPO):
    """TRPO whose rollouts are trials, with the paper's first-order step by default.

    ``step="first-order"``: epochs of minibatch Adam on the clipped surrogate, then, while the mean
    KL divergence from the old policy exceeds ``target_kl`` or the surrogate is no better, the
    parameters move back toward the old ones, the step shrinking each time.
    ``step="conjugate-gradient"``: sb3-contrib's natural step, with Fisher products by central
    differences of first-order gradients (a fused recurrence has no second derivative).
    Either way the old parameters are restored where no step helps, and the log says so.

    Its options are keywords: the fields of :class:`rl2_sb3.config.LearningConfig` and
    :class:`rl2_sb3.config.TRPOConfig`, with the defaults of ``rl2 train``, and those of
    :class:`sb3_contrib.TRPO`; see :class:`rl2_sb3.RL2PPO`, too. ``n_epochs``, ``clip_range``,
    ``ent_coef``, ``vf_coef`` and ``max_grad_norm`` are of the first-order step.

    :param target_kl: bound on the mean KL divergence between the old policy and the new, by
        default 0.01
    :param step: ``"first-order"`` or ``"conjugate-gradient"``
    :raises TypeError: an unknown option
    :raises ValueError: a ``batch_size`` that cuts trials, an environment that cannot be wrapped,
        options that the step cannot take, or ``threads`` that are neither None nor a whole number
        from 1 on
    """

    step: str
    cg_share: float
    n_epochs: int
    clip_range: float | Schedule

    @takes(TRPO, LearningConfig, TRPOConfig)
    def __init__(
        self, policy: str | type[GRUPolicy], env: GymEnv | str | None, **options: Any
    ) -> None:
        step = options.get("step", TRPOConfig.step)
        _check_step(step, options.get("policy_kwargs") or {})
        if options.get("target_kl") is None:
            options["target_kl"] = TARGET_KL
        super().__init__(policy, env, **options)

    def train(self) -> None:
        """Update the policy and the value network from the rollout."""
        natural = self.step == "conjugate-gradient"
        if warms_up(self, self.n_critic_updates if natural else self.n_epochs):
            return
        with th.no_grad():
            self._old = [
                copy.copy(self.policy.get_distribution(batch.observations))
                for batch in self._chunks()
            ]
        try:
            if natural:
                self._natural_step()
            else:
                self._first_order_step()
        finally:
            del self._old
        self.follow_observations()

    def _natural_step(self) -> None:
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        parameters = self.policy.actor_parameters()
        self._standardise_advantages()
        search = natural_step(
            self._policy_gradient(parameters),
            parameters,
            lambda vector: self.hessian_vector_product(parameters, vector, vector),
            self._kl_and_objective,
            self.target_kl,
            self.line_search_shrinking_factor,
            self.line_search_max_iter,
            self.cg_max_steps,
        )
        learn_values(self, self.n_critic_updates)
        self._n_updates += 1
        self.logger.record("train/policy_objective", search.gain)
        self.logger.record("train/kl_divergence_loss", search.kl)
        self.logger.record("train/is_line_search_success", float(search.found))
        self.log_state()

    def _first_order_step(self) -> None:
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        now = self._current_progress_remaining
        loss = Loss(
            FloatSchedule(self.clip_range)(now), FloatSchedule(self.ent_coef)(now), self.vf_coef
        )
        parameters = self.policy.actor_parameters()
        old = flat(parameters).detach()
        self._standardise_advantages()
        updates = Updates(self.policy, loss, self.max_grad_norm)
        for _ in range(self.n_epochs):
            updates.epoch(self.rollout_buffer.get(self.batch_size), self.action_space.shape == ())
        figures = updates.figures()
        self._line_search(parameters, old)
        self._n_updates += self.n_epochs
        self.log_update(figures)

    def _line_search(self, parameters: list[nn.Parameter], old: th.Tensor) -> None:
        """Move back toward the old parameters until the step keeps the bound and helps."""
        direction = flat(parameters).detach() - old
        fraction = 1.0
        full_kl = kl = objective = 0.0
        for attempt in range(self.line_search_max_iter):
            assign(parameters, old + fraction * direction)
            kl, objective = self._kl_and_objective()
            if attempt == 0:
                full_kl = kl
            if kl <= self.target_kl and objective > 0:
                break
            fraction *= self.line_search_shrinking_factor
        else:
            assign(parameters, old)
            fraction = kl = objective = 0.0
        self.logger.record("train/policy_objective", objective)
        self.logger.record("train/kl_divergence_loss", kl)
        self.logger.record("train/kl_before_line_search", full_kl)
        self.logger.record("train/step_fraction", fraction)
        self.logger.record("train/is_line_search_success", float(fraction > 0))

    def _kl_and_objective(self) -> tuple[float, float]:
        """Mean KL divergence from the old policy, and the surrogate's gain, over the rollout."""
        kl = objective = 0.0
        with th.no_grad():
            for batch, old in zip(self._chunks(), self._old, strict=True):
                distribution = self.policy.get_distribution(batch.observations)
                log_prob = distribution.log_prob(self._actions(batch))
                ratio = th.exp(log_prob - batch.old_log_prob)
                kl += _kl(old, distribution).sum().item()
                objective += ((ratio - 1) * batch.advantages).sum().item()
        rows = self.n_steps * self.n_envs
        found = ranks.mean(th.tensor([kl, objective], dtype=th.float64))
        return float(found[0]) / rows, float(found[1]) / rows

    def _standardise_advantages(self) -> None:
        if self.normalize_advantage:
            advantages = self.rollout_buffer.advantages
            mean, deviation = pooled.mean_and_deviation(advantages)
            self.rollout_buffer.advantages = (advantages - mean) / (deviation + 1e-8)

    def _policy_gradient(self, parameters: list[nn.Parameter]) -> th.Tensor:
        """The surrogate's gradient over the rollout, in one vector."""
        total = th.zeros_like(flat(parameters))
        for batch in self._chunks():
            distribution = self.policy.get_distribution(batch.observations)
            log_prob = distribution.log_prob(self._actions(batch))
            gain = (th.exp(log_prob - batch.old_log_prob) * batch.advantages).sum()
            total += flat(th.autograd.grad(gain, parameters))
        return ranks.mean(total) / (self.n_steps * self.n_envs)

    def _chunks(self) -> Iterator[DictRolloutBufferSamples]:
        """The rollout's columns in their order, in pieces of a minibatch's size."""
        columns = np.arange(self.n_envs)
        size = max(1, self.batch_size // self.n_steps // ranks.size())
        for begin in range(0, self.n_envs, size):
            yield self.rollout_buffer.columns(columns[begin : begin + size])

    def _actions(self, batch: DictRolloutBufferSamples) -> th.Tensor:
        discrete = self.action_space.shape == ()
        return batch.actions.long().flatten() if discrete else batch.actions

    def hessian_vector_product(
        self,
        params: list[nn.Parameter],
        grad_kl: th.Tensor,
        vector: th.Tensor,
        retain_graph: bool = True,
    ) -> th.Tensor:
        """Product with the damped Fisher matrix, by central differences of the KL's gradient."""
        old = flat(params).detach()
        length = 0.02 / (vector.norm() + 1e-12)
        gradients = []
        for sign in (1, -1):
            assign(params, old + sign * length * vector)
            gradients.append(self._kl_gradient(params))
        assign(params, old)
        product: th.Tensor = (gradients[0] - gradients[1]) / (2 * length)
        return product + self.cg_damping * vector

    def _kl_gradient(self, params: list[nn.Parameter]) -> th.Tensor:
        """Of the mean divergence over the chunks that the Fisher matrix is taken over."""
        total, rows = th.zeros_like(flat(params)), 0
        share = math.ceil(self.cg_share * len(self._old) - 1e-9)
        with th.enable_grad():
            for batch, old in zip(self._chunks(), self._old[:share], strict=False):
                kl = _kl(old, self.policy.get_distribution(batch.observations))
                total += flat(th.autograd.grad(kl.sum(), params))
                rows += len(kl)
        return ranks.mean(total) / rows


def _check_step(step: str, network: Mapping[str, Any]) -> None:
    """Refuse a step that there is none of, or options of the network that it cannot take."""
    if step not in ("first-order", "conjugate-gradient"):
        raise ValueError(f"step={step!r}: use 'first-order' or 'conjugate-gradient'.")
    if step == "conjugate-gradient" and network.get("precision") == "bf16":
        raise ValueError(
            "precision='bf16' is too coarse for the finite differences of "
            "step='conjugate-gradient': use precision='fp32', or step='first-order'."
        )
    if step == "conjugate-gradient" and network.get("prediction_coef"):
        raise ValueError(
            "prediction_coef adds to the gradient of the first-order step: use "
            "step='first-order', or leave it out."
        )


def _kl(old: Distribution, new: Distribution) -> th.Tensor:
    """KL divergence per row, summed over the action's parts."""
    kl = kl_divergence(old, new)
    return kl.sum(dim=1) if kl.dim() > 1 else kl
