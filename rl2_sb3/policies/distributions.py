"""SB3's action distributions without torch's checks of each number: they cost more than the rest.

A number that is none is found where losses are logged, and by the callback's replay.

KL divergences of discrete actions are computed from logits. By probabilities, as torch has them,
they are infinite as soon as one rounds to 0 in the new policy that did not in the old one.
"""

from __future__ import annotations

import torch as th
from stable_baselines3.common.distributions import (
    BernoulliDistribution,
    CategoricalDistribution,
    DiagGaussianDistribution,
    Distribution,
    MultiCategoricalDistribution,
)
from torch.distributions import Bernoulli, Categorical, Normal, register_kl
from typing_extensions import Self


class LogCategorical(Categorical):
    """A categorical distribution by log-probabilities alone: one operation makes them.

    :param logits: unnormalised log-probabilities, ``(..., actions)``
    """

    def __init__(self, logits: th.Tensor):
        self._param = self.logits = logits.log_softmax(dim=-1)
        self._num_events = logits.shape[-1]
        super(Categorical, self).__init__(logits.shape[:-1], validate_args=False)

    def log_prob(self, value: th.Tensor) -> th.Tensor:
        return self.logits.gather(-1, value.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> th.Tensor:
        finite = self.logits.clamp(min=th.finfo(self.logits.dtype).min)  # 0 times -inf is none
        return -(self.logits.exp() * finite).sum(-1)


@register_kl(LogCategorical, LogCategorical)  # type: ignore[no-untyped-call,untyped-decorator]
def _categorical_divergence(old: LogCategorical, new: LogCategorical) -> th.Tensor:
    """Of each row, ``(...,)``."""
    chances = old.logits.exp()
    terms = chances * (old.logits - new.logits)
    return terms.masked_fill(chances == 0, 0.0).sum(-1)


class LogBernoulli(Bernoulli):
    """Independent bits, by their log-odds alone."""

    def __init__(self, logits: th.Tensor):
        super().__init__(logits=logits, validate_args=False)


@register_kl(LogBernoulli, LogBernoulli)  # type: ignore[no-untyped-call,untyped-decorator]
def _bernoulli_divergence(old: LogBernoulli, new: LogBernoulli) -> th.Tensor:
    """Of each bit, ``(..., bits)``."""
    logits = (th.stack([each.logits, th.zeros_like(each.logits)], -1) for each in (old, new))
    divergence: th.Tensor = _categorical_divergence(*map(LogCategorical, logits))
    return divergence


class UncheckedCategorical(CategoricalDistribution):
    """Of discrete actions."""

    def proba_distribution(self, action_logits: th.Tensor) -> Self:
        self.distribution = LogCategorical(action_logits)
        return self


class UncheckedMultiCategorical(MultiCategoricalDistribution):
    """Of several discrete actions at once."""

    def proba_distribution(self, action_logits: th.Tensor) -> Self:
        parts = th.split(action_logits, self.action_dims, dim=1)
        self.distribution = [LogCategorical(logits) for logits in parts]
        return self


class UncheckedBernoulli(BernoulliDistribution):
    """Of bits."""

    def proba_distribution(self, action_logits: th.Tensor) -> Self:
        self.distribution = LogBernoulli(action_logits)
        return self


class UncheckedGaussian(DiagGaussianDistribution):
    """Of continuous actions."""

    def proba_distribution(self, mean_actions: th.Tensor, log_std: th.Tensor) -> Self:
        std = th.ones_like(mean_actions) * log_std.exp()
        self.distribution = Normal(mean_actions, std, validate_args=False)
        return self


def unchecked(distribution: Distribution) -> Distribution:
    """The same distribution without checks, where that is one of these."""
    if type(distribution) is CategoricalDistribution:
        return UncheckedCategorical(distribution.action_dim)
    if type(distribution) is MultiCategoricalDistribution:
        return UncheckedMultiCategorical(distribution.action_dims)
    if type(distribution) is BernoulliDistribution:
        return UncheckedBernoulli(distribution.action_dims)
    if type(distribution) is DiagGaussianDistribution:
        return UncheckedGaussian(distribution.action_dim)
    return distribution
