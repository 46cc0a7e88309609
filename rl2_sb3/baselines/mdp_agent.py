"""What all agents for tabular MDPs do: count, and plan at an episode's beginning.

As the bandits' agents, they see only what a policy sees, the trial's observation. Each keeps a
posterior of its MDP, plans by it at an episode's beginning, and follows the plan to the episode's
end; one that ``replans`` plans anew at each step. The conventions are those of TabulaRL (Osband),
which the paper used: the state that follows an episode's last step is not counted, and equal
actions are chosen among at random.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from rl2_sb3.baselines.bandits import random_choice, shared
from rl2_sb3.baselines.base import SeededAgent, started
from rl2_sb3.baselines.posterior import Posterior, Prior
from rl2_sb3.baselines.thompson import chunks
from rl2_sb3.tasks.base import take
from rl2_sb3.tasks.mdp_env import GymTabularMDP
from rl2_sb3.tasks.mdps import TabularMDP

Observation = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


class Memory(NamedTuple):
    """What an agent keeps of N trials."""

    visits: NDArray[np.int32]
    """How often each action was taken in each state, (N, states, actions)."""
    rewards: Floats
    """Sums of the rewards that it got, (N, states, actions)."""
    transitions: NDArray[np.int32]
    """How often each state followed it, (N, states, actions, states)."""
    values: Floats
    """The plan: the worth of each action, (N, horizon, states, actions)."""
    place: NDArray[np.int64]
    """The state, (N,)."""
    step: NDArray[np.int64]
    """Steps made in the episode, (N,)."""
    episode: NDArray[np.int64]
    """The episode's number in its trial, from 1, (N,)."""


@dataclass(frozen=True, kw_only=True)
class MDPAgent(SeededAgent, ABC):
    """Plans at each episode's beginning by what it has seen, in the way of its subclass."""

    tasks: TabularMDP
    """What it plays: sizes and noise are known to it, the MDPs are not."""
    prior: Literal["true", "paper"] = "true"
    """The distribution that the MDPs are drawn from, or what the paper's agent had in its place."""
    mu0: float | None = None
    """Prior mean of the mean rewards; by default that of ``prior``."""
    tau0: float | None = None
    """Their prior precision, one over the variance; by default that of ``prior``."""
    alpha0: float | None = None
    """Parameter of the transitions' Dirichlet prior; by default that of ``prior``."""

    paper: ClassVar[tuple[float, float, float]] = (0.0, 1.0, 1.0)
    """mu0, tau0 and alpha0 of the paper's agent."""
    replans: ClassVar[bool] = False
    """Whether it plans at each step, not only at an episode's beginning."""

    def __post_init__(self) -> None:
        if self.prior not in ("true", "paper"):
            raise ValueError(f"prior={self.prior!r}: use 'true' or 'paper', or mu0, tau0, alpha0.")
        if self.tasks.noise_sd == 0:
            raise ValueError("noise_sd=0: these agents take rewards for noisy. Set it above 0.")
        if self.prior == "true" and self.tau0 is None and self.tasks.reward_sd == 0:
            raise ValueError("reward_sd=0: the true prior knows all mean rewards. Set tau0.")
        _ = self.belief  # which refuses impossible numbers

    @classmethod
    def for_tasks(cls, tasks: Any, episodes: int, **parameters: Any) -> Self:
        """The agent for a task distribution.

        :param episodes: of a trial, for agents that plan with it
        :param parameters: the agent's own, such as ``prior``
        :raises ValueError: another distribution than tabular MDPs, or an unknown parameter
        """
        tasks = tasks.tasks if isinstance(tasks, GymTabularMDP) else tasks
        if not isinstance(tasks, TabularMDP):
            raise ValueError(f"{cls.__name__} plays tabular MDPs, not {tasks}.")
        cls.check_names(parameters, besides=("tasks", "episodes"))
        planned: dict[str, Any] = {}
        if "episodes" in cls.__dataclass_fields__:
            planned["episodes"] = episodes
        return cls(tasks=tasks, **planned, **parameters)

    @cached_property
    def belief(self) -> Prior:
        """The prior, with the numbers that were given in place of its own."""
        mu0, tau0, alpha0 = self.paper if self.prior == "paper" else self.true
        return Prior(
            mu0 if self.mu0 is None else self.mu0,
            tau0 if self.tau0 is None else self.tau0,
            alpha0 if self.alpha0 is None else self.alpha0,
            self.tasks.noise_sd**-2,
        )

    @property
    def true(self) -> tuple[float, float, float]:
        """mu0, tau0 and alpha0 of the distribution that the MDPs are drawn from."""
        tau0 = self.tasks.reward_sd**-2 if self.tasks.reward_sd else np.inf
        return self.tasks.reward_mean, tau0, self.tasks.alpha

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], Memory]:
        """Choose an action in each of N trials.

        :param observation: the trials' observation (see :func:`rl2_sb3.trials.spaces.trial_space`)
        :param state: what the last call returned; None forgets everything
        :param episode_start: (N,) bool, the trials that start, besides those whose ``start`` is 1
        :param deterministic: ignored, since chance is part of the algorithm
        :return: actions (N,) and the state
        :raises ValueError: a state of another shape, or an episode beyond its horizon
        """
        memory = self.observe(observation, state, episode_start)
        return self.choose(memory), memory

    def observe(
        self, observation: Observation, state: Any, episode_start: NDArray[Any] | None
    ) -> Memory:
        """Count the last step of each trial, and plan where an episode begins, or at each step.

        At an episode's end the observation holds its last reward, but the next episode's state.
        """
        start = started(observation, episode_start)
        if state is None:
            start = np.ones_like(start)
        old = self._memory(len(start), state)
        place = np.asarray(observation["observation"]).reshape(-1).astype(np.int64)
        action = np.asarray(observation["action"]).reshape(-1).astype(np.int64)
        reward = np.asarray(observation["reward"]).reshape(-1)
        ended = np.asarray(observation["done"]).reshape(-1) > 0
        acted = np.arange(len(start)), old.place, action
        visits, rewards, transitions = old.visits.copy(), old.rewards.copy(), old.transitions.copy()
        visits[acted] += 1
        rewards[acted] += reward
        transitions[(*acted, place)] += ~ended
        visits[start] = transitions[start] = 0
        rewards[start] = 0
        new = start | ended
        step = np.where(new, 0, old.step + 1)
        if step.max(initial=0) >= self.tasks.horizon:
            raise ValueError(
                f"Step {step.max() + 1} of an episode with horizon={self.tasks.horizon}: make the "
                "agent for the tasks that it plays."
            )
        episode = np.where(start, 1, old.episode + ended)
        memory = Memory(visits, rewards, transitions, old.values, place, step, episode)
        due = np.ones_like(new) if self.replans else new
        return memory._replace(values=self._plans(memory, due)) if due.any() else memory

    def _memory(self, n: int, state: Any) -> Memory:
        """The state that was given, checked, or an empty one."""
        sizes = (self.tasks.states, self.tasks.actions)
        if state is None:
            nothing = np.zeros(n, np.int64)
            return Memory(
                np.zeros((n, *sizes), np.int32),
                np.zeros((n, *sizes)),
                np.zeros((n, *sizes, sizes[0]), np.int32),
                np.empty((n, self.tasks.horizon, *sizes)),
                *(nothing, nothing, nothing),
            )
        if np.shape(state[0]) != (n, *sizes):
            raise ValueError(
                f"The state has shape {np.shape(state[0])}, not (trials, states, actions) = "
                f"{(n, *sizes)}: begin with state=None."
            )
        return Memory(*state)

    def _plans(self, memory: Memory, due: NDArray[np.bool_]) -> Floats:
        """The plans of all trials, new ones where they are due."""
        trials = np.flatnonzero(due)
        values = np.array(memory.values)
        for part in chunks(len(trials), memory.transitions[0].size):
            values[trials[part]] = self.plan(take(memory, trials[part]))
        return values

    def posterior(self, memory: Memory) -> Posterior:
        """What the agent believes of the MDPs."""
        return self.belief.posterior(memory.visits, memory.rewards, memory.transitions)

    @abstractmethod
    def plan(self, memory: Memory) -> Floats:
        """The worth of each action from now to an episode's end, (N, horizon, states, actions)."""

    def best(self, memory: Memory) -> NDArray[np.bool_]:
        """The actions to choose among, (N, actions)."""
        values = self.worth(memory)
        return np.asarray(values == values.max(axis=1, keepdims=True))

    def worth(self, memory: Memory) -> Floats:
        """What the plan holds of each action now, (N, actions)."""
        return np.asarray(
            memory.values[np.arange(len(memory.step)), memory.step, memory.place], np.float64
        )

    def choose(self, memory: Memory) -> NDArray[np.int64]:
        """Choose an action (N,), with the agent's randomness."""
        return random_choice(self.best(memory), self.rng)


@dataclass(frozen=True, kw_only=True)
class CertainPlanner(MDPAgent):
    """Plans without chance: the probabilities of its choices are known."""

    temperature: float = 0.0
    """Above 0, an action's probability is proportional to exp(its worth / temperature): a teacher
    who tells how near the others are to the best."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature >= 0:
            raise ValueError(f"temperature={self.temperature}: 0 or more.")

    def choose(self, memory: Memory) -> NDArray[np.int64]:
        if not self.temperature:
            return super().choose(memory)
        below = self.softened(memory).cumsum(axis=1) < self.rng.random((len(memory.step), 1))
        return np.asarray(np.minimum(below.sum(axis=1), self.tasks.actions - 1))

    def action_probabilities(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: NDArray[Any] | None = None,
    ) -> tuple[Floats, Memory]:
        """The probability of each action, (N, actions), that :meth:`predict` draws from; and state.

        Takes what :meth:`predict` takes, and uses no randomness: a target for imitation.
        """
        memory = self.observe(observation, state, episode_start)
        return self.probabilities(memory), memory

    def probabilities(self, memory: Memory) -> Floats:
        """The probability (N, actions) with which :meth:`choose` chooses each action."""
        return self.softened(memory) if self.temperature else shared(self.best(memory))

    def action_costs(self, memory: Memory) -> Floats:
        """What each action loses against the best, as the plan has it, (N, actions), 0 or more.

        :param memory: the state that :meth:`action_probabilities` returned
        """
        worth = self.worth(memory)
        return np.asarray(worth.max(axis=1, keepdims=True) - worth)

    def softened(self, memory: Memory) -> Floats:
        """Probabilities (N, actions) by temperature."""
        worth = self.worth(memory)
        chances = np.exp((worth - worth.max(axis=1, keepdims=True)) / self.temperature)
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))
