"""SB3's action distributions without torch's checks of each number: they cost more than the rest.

A number that is none is found where losses are logged, and by the callback's replay.
"""

from __future__ import annotations

import torch as th
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    DiagGaussianDistribution,
    Distribution,
)
from torch.distributions import Categorical, Normal
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


class UncheckedCategorical(CategoricalDistribution):
    """Of discrete actions."""

    def proba_distribution(self, action_logits: th.Tensor) -> Self:
        self.distribution = LogCategorical(action_logits)
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
    if type(distribution) is DiagGaussianDistribution:
        return UncheckedGaussian(distribution.action_dim)
    return distribution
