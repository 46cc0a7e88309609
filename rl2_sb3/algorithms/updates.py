"""Epochs of minibatch steps on the clipped surrogate: PPO's update, and TRPO's first-order step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch as th
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from torch import nn

from rl2_sb3 import pooled, ranks
from rl2_sb3.policies import GRUPolicy

NOT_FINITE = (
    "A loss is not finite: rewards or observations are not, or learning diverged (a smaller "
    "learning_rate or max_grad_norm helps)."
)


class Loss(NamedTuple):
    """What is minimised, with the policy's auxiliary losses.

    :param clip_range: of the surrogate's ratio
    :param ent_coef: weight of the entropy
    :param vf_coef: weight of the value's squared error
    :param clip_range_vf: how far a value may move from the old one, if that is bounded
    :param normalize_advantage: standardise the advantages of each minibatch, over all ranks
    """

    clip_range: float
    ent_coef: float
    vf_coef: float
    clip_range_vf: float | None = None
    normalize_advantage: bool = False

    def __call__(
        self, policy: GRUPolicy, batch: DictRolloutBufferSamples, actions: th.Tensor
    ) -> tuple[th.Tensor, th.Tensor]:
        """The loss, and the figures of :class:`Figures`, which have no auxiliary losses in them."""
        values, distribution, auxiliary = policy.evaluate(batch.observations)
        log_prob, entropy = distribution.log_prob(actions), distribution.entropy()
        values, advantages = values.flatten(), batch.advantages
        if self.normalize_advantage and len(advantages) * ranks.size() > 1:
            advantages = pooled.standardised(advantages)
        log_ratio = log_prob - batch.old_log_prob
        ratio = log_ratio.exp()
        with th.no_grad():
            clipped = ratio.clamp(1 - self.clip_range, 1 + self.clip_range)
            surrogate = th.min(advantages * ratio, advantages * clipped)
            # Where the clipped one is the smaller, the surrogate has no slope.
            slope = advantages * (surrogate == advantages * ratio)
            policy_loss = -surrogate.mean()
        if self.clip_range_vf is not None:
            change = (values - batch.old_values).clamp(-self.clip_range_vf, self.clip_range_vf)
            values = batch.old_values + change
        value_loss = (batch.returns - values).square().mean()
        entropy_loss = log_prob.mean() if entropy is None else -entropy.mean()
        loss = self.vf_coef * value_loss + self.ent_coef * entropy_loss - (slope * ratio).mean()
        if auxiliary is not None:
            loss = loss + auxiliary
        with th.no_grad():
            kl = (ratio - 1 - log_ratio).mean()  # Schulman's estimate
            clip_fraction = (ratio != clipped).float().mean()
            total = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
            figures = [policy_loss, value_loss, entropy_loss, clip_fraction, kl, total]
            return loss, th.stack(figures)


class Figures(NamedTuple):
    """Means over minibatches, but for ``loss``, the last one's."""

    policy_gradient_loss: float
    value_loss: float
    entropy_loss: float
    clip_fraction: float
    approx_kl: float
    loss: float


class Updates:
    """Minibatch steps on one loss; they may be ended by how far the policy has moved.

    :param max_grad_norm: bound on the gradient's norm
    :param target_kl: end once a minibatch's estimated divergence from the old policy exceeds 1.5
        times this
    """

    def __init__(
        self, policy: GRUPolicy, loss: Loss, max_grad_norm: float, target_kl: float | None = None
    ):
        self.policy, self.loss = policy, loss
        self.max_grad_norm, self.target_kl = max_grad_norm, target_kl
        self.parameters = list(policy.parameters())
        self._figures: list[th.Tensor] = []

    def epoch(self, batches: Iterable[DictRolloutBufferSamples], discrete: bool) -> bool:
        """A step on each minibatch.

        :return: whether to go on
        """
        for batch in batches:
            actions = batch.actions.long().flatten() if discrete else batch.actions
            loss, figures = self.loss(self.policy, batch, actions)
            self._figures.append(figures)
            if self.target_kl is not None:
                moved = ranks.mean(Figures(*figures).approx_kl)  # type: ignore[arg-type]
                if moved > 1.5 * self.target_kl:
                    return False
            for parameter in self.parameters:
                parameter.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            ranks.average_gradients(self.parameters)
            nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
            self.policy.optimizer.step()
        return True

    def figures(self) -> Figures:
        """What to log, over all ranks.

        :raises ValueError: a loss that was not finite
        """
        rows = ranks.mean(th.stack(self._figures))
        if not rows.isfinite().all():
            raise ValueError(NOT_FINITE)
        return Figures(*rows.mean(dim=0).tolist())._replace(loss=rows[-1, -1].item())
