"""Random tabular MDPs: the paper's section 3.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3.tasks.base import BatchedTasks
from rl2_sb3.tasks.planning import backward_induction

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class MDPs(NamedTuple):
    """Tabular MDPs; of one alone, the arrays have no axis ``n``."""

    rewards: Floats
    """Mean rewards, ``(n, states, actions)``."""
    cumulative: Floats
    """Probability of a next state up to each, ``(n, states, actions, states)``."""
    values: Floats
    """Value of each action if the best follow, ``(n, horizon, states, actions)``."""
    optimum: Floats
    """Value of an episode, ``(n,)``."""

    @property
    def transitions(self) -> Floats:
        """Probabilities of the next state, ``(n, states, actions, states)``."""
        return np.diff(self.cumulative, axis=-1, prepend=0.0)


class Walks(NamedTuple):
    """Where the episodes are, ``(n,)`` each."""

    place: Ints
    """The state of the MDP."""
    step: Ints
    """Steps that were made in the episode."""


@dataclass
class TabularMDP(BatchedTasks[MDPs, Walks]):
    """MDPs with a few states; mean rewards are normal, transitions Dirichlet.

    An episode begins in state 0 and has ``horizon`` steps; the state is observed, the step is not.

    Other MDPs than random ones are handed to :meth:`mdps`, which checks them::

        class Chains(TabularMDP):
            def sample(self, n, rng):
                rewards, transitions = ...  # (n, states, actions) and (n, states, actions, states)
                return self.mdps(rewards, transitions)
    """

    states: int = 10
    """Number of states."""
    actions: int = 5
    """Number of actions."""
    horizon: int = 10
    """Steps of an episode."""
    reward_mean: float = 1.0
    """Mean of the normal distribution that mean rewards are drawn from."""
    reward_sd: float = 1.0
    """Standard deviation of that distribution."""
    noise_sd: float = 1.0
    """Standard deviation of a reward about its mean, normal as well."""
    alpha: float = 1.0
    """Parameter of the symmetric Dirichlet distribution that transitions are drawn from."""

    def __post_init__(self) -> None:
        for name in ("states", "actions", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: an MDP needs at least one.")
        if not np.isfinite(self.reward_mean):
            raise ValueError(f"reward_mean={self.reward_mean}: give a finite number.")
        for name in ("reward_sd", "noise_sd"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(
                    f"{name}={getattr(self, name)}: a standard deviation is 0 or more, and finite."
                )
        if not 0 < self.alpha < np.inf:
            raise ValueError(f"alpha={self.alpha}: must be positive, and finite.")
        self.observation_space: spaces.Space[Any] = spaces.Discrete(self.states)
        self.action_space: spaces.Space[Any] = spaces.Discrete(self.actions)

    def sample(self, n: int, rng: np.random.Generator) -> MDPs:
        """Draw mean rewards and transitions."""
        shape = (n, self.states, self.actions)
        rewards = rng.normal(self.reward_mean, self.reward_sd, shape)
        return self._mdps(rewards, dirichlet(self.alpha, (*shape, self.states), rng))

    def mdps(self, rewards: Any, transitions: Any) -> MDPs:
        """Own MDPs, as what :meth:`reset` and :meth:`step` take.

        :param rewards: mean rewards, ``(n, states, actions)``
        :param transitions: probabilities of the next state, ``(n, states, actions, states)``
        :raises ValueError: another shape, a reward that is not finite, or a row of transitions that
            is no distribution
        """
        rewards, transitions = np.array(rewards, np.float64), np.array(transitions, np.float64)
        shape = (len(rewards), self.states, self.actions)
        for name, array, wanted in (
            ("rewards", rewards, shape),
            ("transitions", transitions, (*shape, self.states)),
        ):
            if array.shape != wanted:
                raise ValueError(
                    f"{name} have the shape {array.shape}, not (MDPs, states, actions"
                    f"{', states' * (name == 'transitions')}) = {wanted}."
                )
        if not np.isfinite(rewards).all():
            at = tuple(np.argwhere(~np.isfinite(rewards))[0].tolist())
            raise ValueError(f"rewards{list(at)} is {rewards[at]}: give a finite number.")
        total = transitions.sum(axis=3)
        right = (np.abs(total - 1) < 1e-6) & (transitions >= 0).all(axis=3)
        if not right.all():
            mdp, state, action = np.argwhere(~right)[0].tolist()
            row = transitions[mdp, state, action]
            fault = f"sums to {row.sum():.6g}, not 1" if (row >= 0).all() else f"is {row}"
            raise ValueError(
                f"transitions[{mdp}, {state}, {action}] {fault}: it must be the distribution of "
                f"the next state in MDP {mdp}, from state {state} with action {action}."
            )
        return self._mdps(rewards, transitions / total[..., None])

    def _mdps(self, rewards: Floats, transitions: Floats) -> MDPs:
        values = backward_induction(rewards, transitions, self.horizon)
        cumulative = np.cumsum(transitions, axis=3)
        cumulative /= cumulative[..., -1:].copy()  # exactly 1 at the end
        return MDPs(rewards, cumulative, values, values[:, 0, 0].max(axis=1))

    def reset(self, params: MDPs, rng: np.random.Generator) -> tuple[Walks, Ints]:
        """Begin in state 0."""
        zeros = np.zeros(len(params.rewards), np.int64)
        return Walks(zeros, zeros), zeros

    def step(
        self, params: MDPs, state: Walks, action: NDArray[Any], rng: np.random.Generator
    ) -> tuple[Walks, Ints, Floats, NDArray[np.bool_]]:
        """Take an action in each MDP."""
        at = np.arange(len(action)), state.place, action
        reward = params.rewards[at] + self.noise_sd * rng.standard_normal(len(action))
        chance = rng.random(len(action))
        place = (params.cumulative[at] > chance[:, None]).argmax(axis=1)
        step = state.step + 1
        return Walks(place, step), place, reward, step == self.horizon

    def optimal_return(self, params: MDPs) -> Floats:
        """The value of state 0 at an episode's beginning."""
        return params.optimum

    def privileged_observation(self, params: MDPs, state: Walks) -> Floats:
        """What the state's actions are worth, ``(n, 2 actions + 2)``.

        The value of each if the best follow, a step of the horizon; the mean reward of each; the
        value of an episode, a step; and the share of the episode that is left.
        """
        rows, left = np.arange(len(state.place)), self.horizon - state.step
        step = np.minimum(state.step, self.horizon - 1)
        values = params.values[rows, step, state.place] * (left > 0)[:, None]  # nothing is left
        return np.column_stack(
            [
                values / self.horizon,
                params.rewards[rows, state.place],
                params.optimum / self.horizon,
                left / self.horizon,
            ]
        )

    def training_reward(self, params: MDPs, state: Walks, action: NDArray[Any]) -> Floats:
        """An even share of the episode's optimum, less what the action loses against the best.

        Over an episode it has the sum of the rewards, in expectation (the performance difference
        lemma, Kakade & Langford 2002). It tells at once what the action costs by where it leads.
        """
        rows = np.arange(len(action))
        values = params.values[rows, state.step, state.place]
        reward: Floats = values[rows, action] - values.max(axis=1) + params.optimum / self.horizon
        return reward


def dirichlet(alpha: Floats | float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw distributions from Dirichlet(alpha), along the last axis.

    :param alpha: positive, of the shape, or one number; where all of a row are tiny, they must be
        equal
    """
    draws = rng.standard_gamma(alpha, shape)
    total = draws.sum(axis=-1, keepdims=True)
    if not total.all():  # gammas of tiny parameters are 0: one state then has all the probability
        nothing = total[..., 0] == 0
        draws[nothing] = np.eye(shape[-1])[rng.integers(shape[-1], size=int(nothing.sum()))]
        total[nothing] = 1
    draws /= total
    return draws
