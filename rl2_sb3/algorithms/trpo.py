"""RL² with trust region policy optimisation: the paper's first-order step, or the natural one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib import TRPO
from stable_baselines3.common.distributions import Distribution, kl_divergence
from stable_baselines3.common.type_aliases import (
    DictRolloutBufferSamples,
    GymEnv,
    Schedule,
)
from stable_baselines3.common.utils import FloatSchedule
from torch import nn

from rl2_sb3.algorithms.rollouts import TrialRollouts
from rl2_sb3.algorithms.threads import check_threads
from rl2_sb3.algorithms.updates import Loss, Updates
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.trials.make import as_trials, rollout_size


class RL2TRPO(TrialRollouts, TRPO):
    """TRPO whose rollouts are trials, with the paper's first-order step by default.

    ``step="first-order"``: epochs of minibatch Adam on the clipped surrogate, then, while the mean
    KL divergence from the old policy exceeds ``target_kl`` or the surrogate is no better, the
    parameters move back toward the old ones, the step shrinking each time.
    ``step="conjugate-gradient"``: sb3-contrib's natural step, with Fisher products by central
    differences of first-order gradients (a fused recurrence has no second derivative).
    Either way the old parameters are restored where no step helps, and the log says so.

    :param policy: ``"GRUPolicy"``, ``"CnnGRUPolicy"`` or a subclass of :class:`GRUPolicy`
    :param env: trials, or a plain environment, its id or a task distribution's name
    :param n_steps: length of a rollout; by default a whole trial where all have one length
    :param batch_size: steps in a minibatch, a multiple of ``n_steps``: minibatches are sets of
        columns; by default a quarter of them
    :param value_lambda: lambda of the returns that the value network learns from, by default
        ``gae_lambda``; with 1, whole returns, it need not learn from its own guesses
    :param n_epochs: passes over the rollout, first-order step
    :param clip_range: of the surrogate's ratio, first-order step
    :param ent_coef: weight of the entropy, first-order step; may be a schedule
    :param vf_coef: weight of the value loss, first-order step
    :param max_grad_norm: bound on the gradient's norm, first-order step
    :param target_kl: bound on the mean KL divergence between the old policy and the new
    :param step: ``"first-order"`` or ``"conjugate-gradient"``
    :param line_search_shrinking_factor: of the step, each time that it is too long
    :param line_search_max_iter: how many lengths are tried
    :param cg_max_steps: iterations of the conjugate gradient
    :param cg_damping: added to the Fisher matrix's diagonal
    :param n_critic_updates: epochs of the value network, conjugate-gradient step
    :param episodes: episodes per trial where ``env`` is plain (default 2)
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
        clip_range: float | Schedule = 0.1,
        normalize_advantage: bool = True,
        ent_coef: float | Schedule = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        target_kl: float = 0.01,
        step: Literal["first-order", "conjugate-gradient"] = "first-order",
        line_search_shrinking_factor: float = 0.5,
        line_search_max_iter: int = 10,
        cg_max_steps: int = 15,
        cg_damping: float = 0.1,
        n_critic_updates: int = 10,
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
        _check_step(step, policy_kwargs or {})
        check_threads(threads)
        trials = None if env is None else as_trials(env, episodes)
        n_steps, batch_size = rollout_size(trials, n_steps, batch_size)
        self.episodes = episodes
        self.value_lambda = value_lambda
        self.threads = threads
        self.step = step
        self.n_epochs = n_epochs
        self.clip_range = clip_range
        super().__init__(
            policy,
            trials,
            learning_rate=learning_rate,
            n_steps=n_steps,
            batch_size=batch_size,
            gamma=gamma,
            gae_lambda=gae_lambda,
            normalize_advantage=normalize_advantage,
            target_kl=target_kl,
            line_search_shrinking_factor=line_search_shrinking_factor,
            line_search_max_iter=line_search_max_iter,
            cg_max_steps=cg_max_steps,
            cg_damping=cg_damping,
            n_critic_updates=n_critic_updates,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
        )
        # Set after TRPO, which has no such terms and sets them to 0.
        self.ent_coef = ent_coef  # type: ignore[assignment]
        self.vf_coef, self.max_grad_norm = vf_coef, max_grad_norm
        if _init_setup_model:
            self._setup_model()

    def train(self) -> None:
        """Update the policy and the value network from the rollout."""
        with th.no_grad():
            self._old = [
                copy.copy(self.policy.get_distribution(batch.observations))
                for batch in self._chunks()
            ]
        try:
            if self.step == "conjugate-gradient":
                self._natural_step()
            else:
                self._first_order_step()
        finally:
            del self._old

    def _natural_step(self) -> None:
        # TRPO takes the mean of the KL divergence over the action's parts; the bound is on the
        # sum, so it is given its share.
        bound = self.target_kl
        self.target_kl = bound / self._action_parts()
        try:
            super().train()
        finally:
            self.target_kl = bound

    def _first_order_step(self) -> None:
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        now = self._current_progress_remaining
        loss = Loss(
            FloatSchedule(self.clip_range)(now), FloatSchedule(self.ent_coef)(now), self.vf_coef
        )
        parameters = self.policy.actor_parameters()
        old = _flat(parameters).detach()
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
        direction = _flat(parameters).detach() - old
        fraction = 1.0
        full_kl = kl = objective = 0.0
        for attempt in range(self.line_search_max_iter):
            _assign(parameters, old + fraction * direction)
            kl, objective = self._kl_and_objective()
            if attempt == 0:
                full_kl = kl
            if kl <= self.target_kl and objective > 0:
                break
            fraction *= self.line_search_shrinking_factor
        else:
            _assign(parameters, old)
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
        return kl / rows, objective / rows

    def _standardise_advantages(self) -> None:
        if self.normalize_advantage:
            advantages = self.rollout_buffer.advantages
            self.rollout_buffer.advantages = (advantages - advantages.mean()) / (
                advantages.std() + 1e-8
            )

    def _chunks(self) -> Iterator[DictRolloutBufferSamples]:
        """The rollout's columns in their order, in pieces of a minibatch's size."""
        columns = np.arange(self.n_envs)
        size = max(1, self.batch_size // self.n_steps)
        for begin in range(0, self.n_envs, size):
            yield self.rollout_buffer.columns(columns[begin : begin + size])

    def _actions(self, batch: DictRolloutBufferSamples) -> th.Tensor:
        discrete = self.action_space.shape == ()
        return batch.actions.long().flatten() if discrete else batch.actions

    def _compute_actor_grad(
        self, kl_div: th.Tensor, policy_objective: th.Tensor
    ) -> tuple[list[nn.Parameter], th.Tensor, th.Tensor, list[tuple[int, ...]]]:
        """The objective's gradient; that of the KL divergence is zero at the old parameters."""
        parameters = self.policy.actor_parameters()
        gradient = _flat(th.autograd.grad(policy_objective, parameters))
        return parameters, gradient, th.zeros_like(gradient), [p.shape for p in parameters]

    def hessian_vector_product(
        self,
        params: list[nn.Parameter],
        grad_kl: th.Tensor,
        vector: th.Tensor,
        retain_graph: bool = True,
    ) -> th.Tensor:
        """Product with the damped Fisher matrix, by central differences of the KL's gradient."""
        old = _flat(params).detach()
        length = 0.02 / (vector.norm() + 1e-12)
        gradients = []
        for sign in (1, -1):
            _assign(params, old + sign * length * vector)
            gradients.append(self._kl_gradient(params))
        _assign(params, old)
        product: th.Tensor = (gradients[0] - gradients[1]) / (2 * length)
        return product + self.cg_damping * vector

    def _kl_gradient(self, params: list[nn.Parameter]) -> th.Tensor:
        total = th.zeros_like(_flat(params))
        with th.enable_grad():
            for batch, old in zip(self._chunks(), self._old, strict=True):
                kl = _kl(old, self.policy.get_distribution(batch.observations)).sum()
                total += _flat(th.autograd.grad(kl, params))
        return total / (self.n_steps * self.n_envs * self._action_parts())

    def _action_parts(self) -> int:
        """How many KL divergences SB3 gives for one action: one for each independent part."""
        one_kl = isinstance(self.action_space, (spaces.Discrete, spaces.MultiDiscrete))
        return 1 if one_kl else int(np.prod(self.action_space.shape or (1,)))


def _check_step(step: str, policy_kwargs: dict[str, Any]) -> None:
    """Refuse a step that there is not, or that does not go with the policy."""
    if step not in ("first-order", "conjugate-gradient"):
        raise ValueError(f"step={step!r}: use 'first-order' or 'conjugate-gradient'.")
    if step == "first-order":
        return
    if policy_kwargs.get("precision") == "bf16":
        raise ValueError(
            "precision='bf16' is too coarse for the finite differences of "
            "step='conjugate-gradient': use precision='fp32', or step='first-order'."
        )
    if policy_kwargs.get("prediction_coef"):
        raise ValueError(
            "prediction_coef adds to the gradient of the first-order step: use "
            "step='first-order', or leave it out."
        )


def _kl(old: Distribution, new: Distribution) -> th.Tensor:
    """KL divergence per row, summed over the action's parts."""
    kl = kl_divergence(old, new)
    return kl.sum(dim=1) if kl.dim() > 1 else kl


def _assign(parameters: list[nn.Parameter], vector: th.Tensor) -> None:
    """Write a vector into the parameters' own memory, where torch's function makes views of it."""
    parts = th.split(vector, [parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.data.copy_(part.view_as(parameter))


def _flat(tensors: Sequence[th.Tensor]) -> th.Tensor:
    """One vector, a copy, whatever the tensors' layouts in memory are."""
    return th.cat([tensor.reshape(-1) for tensor in tensors])
