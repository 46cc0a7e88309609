"""The natural step: sb3-contrib's TRPO, whose means and line search are over all ranks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch as th
from sb3_contrib.common.utils import conjugate_gradient_solver
from stable_baselines3.common.distributions import kl_divergence
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from torch import nn
from torch.nn import functional as F

from rl2_sb3 import pooled, ranks
from rl2_sb3.algorithms.vectors import assign, flat
from rl2_sb3.policies import GRUPolicy


class Surrogate:
    """The surrogate's value over a rollout, and the divergence from the policy that acted.

    :param batch: the whole rollout
    :param actions: its actions, as distributions take them
    :param standardise: the advantages
    """

    def __init__(
        self,
        policy: GRUPolicy,
        batch: DictRolloutBufferSamples,
        actions: th.Tensor,
        standardise: bool,
    ):
        self.policy, self.batch, self.actions = policy, batch, actions
        self.advantages = batch.advantages
        if standardise:
            self.advantages = pooled.standardised(batch.advantages)
        with th.no_grad():
            self._old = copy.copy(policy.get_distribution(batch.observations))

    def gradient(self, parameters: list[nn.Parameter]) -> tuple[th.Tensor, float]:
        """The objective's gradient in one vector, and the objective."""
        log_prob = self.policy.get_distribution(self.batch.observations).log_prob(self.actions)
        ratio = th.exp(log_prob - self.batch.old_log_prob)
        objective = (self.advantages * ratio).mean()
        gradient = ranks.mean(flat(th.autograd.grad(objective, parameters)))
        return gradient, ranks.mean(objective.detach()).item()

    @th.no_grad()
    def measure(self) -> tuple[float, float]:
        """Mean KL divergence of the new policy from the old, as SB3 has it, and the objective."""
        distribution = self.policy.get_distribution(self.batch.observations)
        ratio = th.exp(distribution.log_prob(self.actions) - self.batch.old_log_prob)
        kl = kl_divergence(distribution, self._old).mean()
        found = ranks.mean(th.stack([kl, (self.advantages * ratio).mean()]))
        return found[0].item(), found[1].item()


class Search(NamedTuple):
    """What the line search came to."""

    found: bool
    kl: float
    objective: float


def solve_together(
    product: Callable[[th.Tensor], th.Tensor], gradient: th.Tensor, iterations: int
) -> th.Tensor:
    """Conjugate gradients of the first rank, whose products all ranks compute.

    A rank that rounds otherwise would else end after another number of products.

    :param product: with the Fisher matrix
    """
    if ranks.size() == 1:
        return conjugate_gradient_solver(product, gradient, max_iter=iterations)

    def ask(vector: th.Tensor) -> th.Tensor:
        ranks.of_first(th.cat([vector, vector.new_ones(1)]))
        return product(vector)

    if ranks.is_first():
        found = conjugate_gradient_solver(ask, gradient, max_iter=iterations)
        return ranks.of_first(th.cat([found, found.new_zeros(1)]))[:-1]
    while True:
        told = ranks.of_first(gradient.new_empty(len(gradient) + 1))
        if told[-1] == 0:
            return told[:-1]
        product(told[:-1])


def natural_step(
    surrogate: Surrogate,
    parameters: list[nn.Parameter],
    product: Callable[[th.Tensor], th.Tensor],
    bound: float,
    shrink: float,
    tries: int,
    iterations: int,
) -> Search:
    """Move the parameters along the natural gradient, as far as the bound lets them.

    :param product: with the Fisher matrix
    :param bound: on the mean KL divergence
    :param shrink: factor by which a step is shortened
    :param tries: step lengths that are tried; the parameters stay where none helps
    :param iterations: of the conjugate gradient method
    """
    gradient, before = surrogate.gradient(parameters)
    direction = solve_together(product, gradient, iterations)
    curvature = ranks.of_first(th.matmul(direction, product(direction)))
    length = float(np.sqrt(2 * bound / float(curvature)))
    old, fraction = flat(parameters).detach(), 1.0
    for _ in range(tries):
        assign(parameters, old + fraction * length * direction)
        kl, objective = surrogate.measure()
        if kl < bound and objective > before:
            return Search(True, kl, objective)
        fraction *= shrink
    assign(parameters, old)
    return Search(False, 0.0, before)


def critic_step(
    policy: GRUPolicy, batch: DictRolloutBufferSamples, actor: list[nn.Parameter]
) -> float:
    """A step of the value network's own parameters on a minibatch; gives the loss.

    :param actor: parameters that actions depend on, which stay as the trust region has them
    """
    loss = F.mse_loss(batch.returns, policy.predict_values(batch.observations).flatten())
    policy.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter in actor:
        parameter.grad = None
    ranks.average_gradients(policy.parameters())
    policy.optimizer.step()
    return loss.item()
