"""Planning in known MDPs: undiscounted, over episodes of one length, many MDPs at once.

Equal actions get equal numbers, to the last bit, so that who compares them finds the ties: each
pair of state and action goes through the same operations in the same order.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def backward_induction(
    rewards: Floats, transitions: Floats, horizon: int, bonus: Floats | None = None
) -> Floats:
    """The value of each action at each step, if the best ones follow it.

    :param rewards: means, ``(n, states, actions)``
    :param transitions: probabilities of the next state, ``(n, states, actions, states)``
    :param horizon: steps of an episode
    :param bonus: ``(n, states, actions)``, added as many times as steps are left after this one
    :return: sums of rewards from a step to the episode's end, ``(n, horizon, states, actions)``
    """
    values = np.empty((len(rewards), horizon, *rewards.shape[1:]))
    following = np.zeros(rewards.shape[:2])
    for left in range(horizon):
        now = values[:, horizon - 1 - left]
        np.add(rewards, np.einsum("nsaz,nz->nsa", transitions, following), out=now)
        if bonus is not None:
            now += left * bonus
        following = _highest(now)
    return values


def extended_value_iteration(
    rewards: Floats, transitions: Floats, width: Floats, horizon: int
) -> Floats:
    """Backward induction with the best transitions near to those given.

    At each step each row of transitions is the best of those within an L1 distance (Jaksch, Ortner
    & Auer 2010, section 3.1.2).

    :param rewards: upper bounds of the means, ``(n, states, actions)``
    :param transitions: probabilities of the next state, ``(n, states, actions, states)``
    :param width: the L1 distance, ``(n, states, actions)``
    :param horizon: steps of an episode
    :return: sums of rewards from a step to the episode's end, ``(n, horizon, states, actions)``
    """
    values = np.empty((len(rewards), horizon, *rewards.shape[1:]))
    following = np.zeros(rewards.shape[:2])
    rows = np.ascontiguousarray(np.moveaxis(transitions, 3, 1))
    for left in range(horizon):
        now = values[:, horizon - 1 - left]
        np.add(rewards, optimistic_expectation(rows, following, width), out=now)
        following = _highest(now)
    return values


def optimistic_expectation(transitions: Floats, value: Floats, width: Floats) -> Floats:
    """The highest expectation of the next state's value, over transitions within an L1 distance.

    Half the distance is how much probability moves to the best state, from the worst ones first.
    With states from the worst to the best, an expectation is the best value less the sum of
    distribution function times gap to the next value; moving m turns F into max(F - m, 0).

    :param transitions: probabilities, the next state first: ``(n, states, states, actions)``
    :param value: of the next state, ``(n, states)``
    :param width: ``(n, states, actions)``, not negative
    :return: ``(n, states, actions)``
    """
    order = np.argsort(value, axis=1)
    value = np.take_along_axis(value, order, axis=1)
    gaps = np.diff(value, axis=1)
    below, shortfall = -width / 2, np.zeros(width.shape)
    for rank in range(gaps.shape[1]):
        below += transitions[np.arange(len(value)), order[:, rank]]
        shortfall += np.maximum(below, 0) * gaps[:, rank, None, None]
    return np.asarray(value[:, -1, None, None] - shortfall)


def _highest(values: Floats) -> Floats:
    """The highest along the last axis; for a few actions much faster than ``max``."""
    return reduce(np.maximum, np.moveaxis(values, -1, 0))
