"""The natural step: sb3-contrib's TRPO, whose means and line search are over all ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch as th
from sb3_contrib.common.utils import conjugate_gradient_solver
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from torch import nn
from torch.nn import functional as F

from rl2_sb3 import ranks
from rl2_sb3.algorithms.vectors import assign, flat
from rl2_sb3.policies import GRUPolicy


class Search(NamedTuple):
    """What the line search came to."""

    found: bool
    kl: float
    gain: float


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
    gradient: th.Tensor,
    parameters: list[nn.Parameter],
    product: Callable[[th.Tensor], th.Tensor],
    measure: Callable[[], tuple[float, float]],
    bound: float,
    shrink: float,
    tries: int,
    iterations: int,
) -> Search:
    """Move the parameters along the natural gradient, as far as the bound lets them.

    :param gradient: of the objective, in one vector
    :param product: with the Fisher matrix
    :param measure: gives the mean KL divergence from the old policy, and the objective's gain
    :param bound: on that divergence
    :param shrink: factor by which a step is shortened
    :param tries: step lengths that are tried; the parameters stay where none helps
    :param iterations: of the conjugate gradient method
    """
    direction = solve_together(product, gradient, iterations)
    curvature = ranks.of_first(th.matmul(direction, product(direction)))
    length = float(np.sqrt(2 * bound / float(curvature)))
    old, fraction = flat(parameters).detach(), 1.0
    for _ in range(tries):
        assign(parameters, old + fraction * length * direction)
        kl, gain = measure()
        if kl < bound and gain > 0:
            return Search(True, kl, gain)
        fraction *= shrink
    assign(parameters, old)
    return Search(False, 0.0, 0.0)


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
