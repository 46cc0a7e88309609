"""The natural step: sb3-contrib's TRPO, whose means and line search are over all ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch as th
from sb3_contrib.common.utils import conjugate_gradient_solver
from torch import nn

from rl2_sb3 import ranks
from rl2_sb3.algorithms.vectors import assign, flat


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
