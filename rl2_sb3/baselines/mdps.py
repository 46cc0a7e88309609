"""Agents for random tabular MDPs: what RL² is measured against (Table 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rl2_sb3.baselines.mdp_agent import CertainPlanner, Floats, MDPAgent, Memory
from rl2_sb3.tasks.planning import backward_induction, extended_value_iteration


@dataclass(frozen=True, kw_only=True)
class PSRL(MDPAgent):
    """Plans by one draw from the posterior (Strens 2000; Osband, Russo & Van Roy 2013)."""

    def plan(self, memory: Memory) -> Floats:
        return backward_induction(*self.posterior(memory).draw_mdp(self.rng), self.tasks.horizon)


@dataclass(frozen=True, kw_only=True)
class OPSRL(PSRL):
    """Takes for each action at each step the highest of its values in some posterior draws.

    Each draw is planned for by itself. One draw is PSRL.
    """

    samples: int = 11
    """Number of draws."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 1:
            raise ValueError(f"samples={self.samples}: at least one draw is needed.")

    def plan(self, memory: Memory) -> Floats:
        values = super().plan(memory)
        for _ in range(self.samples - 1):
            np.maximum(values, super().plan(memory), out=values)
        return values


@dataclass(frozen=True, kw_only=True)
class GreedyMDP(CertainPlanner):
    """Plans by the posterior mean MDP."""

    paper: ClassVar[tuple[float, float, float]] = (0.0, 1e-4, 1e-4)

    def plan(self, memory: Memory) -> Floats:
        return backward_induction(*self.posterior(memory).mean_mdp(), self.tasks.horizon)


@dataclass(frozen=True, kw_only=True)
class EpsilonGreedyMDP(GreedyMDP):
    """With probability epsilon takes any action, else that of the posterior mean MDP's plan."""

    epsilon: float = 0.1
    """Probability of an action at random, in [0, 1]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon={self.epsilon} is no probability: take one in [0, 1].")

    def choose(self, memory: Memory) -> NDArray[np.int64]:
        greedy = super().choose(memory)
        explore = self.rng.random(len(greedy)) < self.epsilon
        return np.where(explore, self.rng.integers(self.tasks.actions, size=len(greedy)), greedy)

    def probabilities(self, memory: Memory) -> Floats:
        greedy = super().probabilities(memory)
        return (1 - self.epsilon) * greedy + self.epsilon / self.tasks.actions


@dataclass(frozen=True, kw_only=True)
class OptimisticPlanner(CertainPlanner):
    """Plans with a bonus for what it has seldom tried."""

    scaling: float | None = None
    """Factor of the bonus, 0 or more; by default one that is good with ``prior``."""

    scalings: ClassVar[dict[str, float]]
    """That factor for each prior, near the best for 10 to 100 episodes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale >= 0:
            raise ValueError(f"scaling={self.scaling} is negative: optimism is 0 or more.")

    @property
    def scale(self) -> float:
        """The scaling, or its default."""
        return self.scalings[self.prior] if self.scaling is None else self.scaling


@dataclass(frozen=True, kw_only=True)
class BEB(OptimisticPlanner):
    """Bayesian exploration bonus (Kolter & Ng 2009): the posterior mean MDP, with a bonus.

    The bonus is ``1 / (1 + precision)`` for the unknown reward, and for the unknown transitions
    ``beta H / (1 + sum of the Dirichlet parameters)`` times the steps left after this one, where
    ``beta = 2 H² scaling`` and H is the horizon.
    """

    scalings: ClassVar[dict[str, float]] = {"true": 0.0004, "paper": 0.0016}

    def plan(self, memory: Memory) -> Floats:
        posterior, horizon = self.posterior(memory), self.tasks.horizon
        rewards, transitions = posterior.mean_mdp()
        beta = 2 * horizon**2 * self.scale
        bonus = beta * horizon / (1 + posterior.concentration.sum(axis=3))
        return backward_induction(
            rewards + 1 / (1 + posterior.precision), transitions, horizon, bonus
        )


@dataclass(frozen=True, kw_only=True)
class ReplanningBEB(OptimisticPlanner):
    """BEB that plans at each step, with a bonus that grows with the number of episodes left.

    It uses what it has just seen in the same episode, as Kolter & Ng (2009) do; :class:`BEB` has
    the conventions of the paper's Table 2. The bonus is ``scaling log(1 + episodes left after this
    one) / (1 + precision)`` for the unknown reward: it explores while there is time to gain from
    that, and in the last episode plans by the posterior mean MDP.
    """

    episodes: int
    """Of a trial."""

    # Of the sweep, those that lose least in 10 to 100 episodes: .1 % with the true prior, 2.5 %
    # with the paper's, in ten.
    scalings: ClassVar[dict[str, float]] = {"true": 0.7, "paper": 1.4}
    paper: ClassVar[tuple[float, float, float]] = (0.0, 1.0, 1.0)
    replans: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.episodes < 1:
            raise ValueError(f"episodes={self.episodes}: one or more.")

    def plan(self, memory: Memory) -> Floats:
        posterior, horizon = self.posterior(memory), self.tasks.horizon
        rewards, transitions = posterior.mean_mdp()
        left = np.maximum(self.episodes - memory.episode, 0)[:, None, None]
        bonus = self.scale * np.log1p(left) / (1 + posterior.precision)
        made = int(memory.step.min(initial=horizon))  # steps whose plan nobody needs any more
        values = np.zeros((len(rewards), horizon, *rewards.shape[1:]))
        values[:, made:] = backward_induction(rewards + bonus, transitions, horizon - made)
        return values


@dataclass(frozen=True, kw_only=True)
class UCRL2(OptimisticPlanner):
    """Plans by the best MDP within confidence bounds (Jaksch, Ortner & Auer 2010).

    With ``L = log(2 S A (t + 1) / delta)``, t the episode's number, rewards lie within
    ``scaling sqrt(4 L / visits)`` of the posterior mean, and transitions within an L1 distance of
    ``scaling sqrt(4 S L / transitions seen)``; what was never seen counts as seen once.

    TabulaRL, whose numbers the paper's Table 2 has, changes the transitions in place, so that its
    optimism adds up from step to step of the horizon; here each step begins with the posterior
    mean, as in the algorithm. With the paper's prior and many episodes that earns less.
    """

    delta: float = 0.05
    """How probable it may be that the bounds fail, in (0, 1)."""

    paper: ClassVar[tuple[float, float, float]] = (0.0, 1e-4, 1e-5)
    scalings: ClassVar[dict[str, float]] = {"true": 0.04, "paper": 0.4}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.delta < 1:
            raise ValueError(f"delta={self.delta} is no probability: take one in (0, 1).")

    def plan(self, memory: Memory) -> Floats:
        rewards, transitions = self.posterior(memory).mean_mdp()
        states, actions = self.tasks.states, self.tasks.actions
        log = np.log(2 * states * actions * (memory.episode[:, None, None] + 1) / self.delta)
        seen = memory.transitions.sum(axis=3)
        return extended_value_iteration(
            rewards + self.scale * np.sqrt(4 * log / np.maximum(memory.visits, 1)),
            transitions,
            self.scale * np.sqrt(4 * states * log / np.maximum(seen, 1)),
            self.tasks.horizon,
        )
