"""Agents that know the Bernoulli bandit's form: what RL² is measured against (Table 1).

They speak stable-baselines3's ``predict(observation, state, episode_start)`` and see only what a
policy sees, the trial's observation; their memory is the count of each arm's successes and
failures. One pull is one episode, and all the trials of a call advance together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from rl2_sb3.baselines.base import SeededAgent, started
from rl2_sb3.tasks.bandits import BernoulliBandit
from rl2_sb3.tasks.mdps import TabularMDP

Observation = Mapping[str, NDArray[Any]]
State = tuple[NDArray[Any], ...]
Counts = NDArray[np.int32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BanditAgent(SeededAgent, ABC):
    """Counts each arm's successes and failures, and leaves the choice to its subclass."""

    arms: int
    """Number of arms."""
    prior_alpha: float = 1.0
    """First parameter of the Beta prior of each arm's mean: successes to begin with."""
    prior_beta: float = 1.0
    """Second parameter of that prior: failures to begin with."""

    def __post_init__(self) -> None:
        if self.arms < 1:
            raise ValueError(f"arms={self.arms}: a bandit needs at least one arm.")
        if not min(self.prior_alpha, self.prior_beta) > 0:
            raise ValueError(
                f"prior_alpha={self.prior_alpha}, prior_beta={self.prior_beta}: "
                "both must be positive."
            )

    @classmethod
    def for_tasks(cls, tasks: Any, episodes: int, **parameters: Any) -> Self:
        """The agent for a task distribution, with the true prior.

        :param episodes: pulls of a trial, for those agents that must know
        :param parameters: the agent's own, such as ``c``
        :raises ValueError: another distribution than Bernoulli bandits, or an unknown parameter
        """
        if not isinstance(tasks, BernoulliBandit):
            hint = " Tabular MDPs have beb, beb-replanning, ucrl2, psrl, opsrl, greedy-mdp, ..."
            raise ValueError(
                f"{cls.__name__} plays Bernoulli bandits, not {tasks}."
                f"{hint if isinstance(tasks, TabularMDP) else ''}"
            )
        cls.check_names(parameters)
        if "episodes" in (field.name for field in fields(cls)):
            parameters = {"episodes": episodes, **parameters}
        prior = {"arms": tasks.arms, "prior_alpha": tasks.alpha, "prior_beta": tasks.beta}
        return cls(**{**prior, **parameters})

    def predict(
        self,
        observation: Observation,
        state: State | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], State]:
        """Choose an arm in each of N trials.

        :param observation: the trials' observation (see :func:`rl2_sb3.trials.spaces.trial_space`);
            read are ``action`` (N,), ``reward`` (N, 1) in {0, 1} and ``start`` (N, 1)
        :param state: what the last call returned; None forgets everything
        :param episode_start: (N,) bool, the trials that start, besides those whose ``start`` is 1
        :param deterministic: ignored, since chance is part of the algorithm
        :return: arms (N,) and the state: successes and failures (N, arms), without the prior's
        :raises ValueError: rewards other than 0 and 1, or a state of another shape
        """
        successes, failures = self.count(observation, state, episode_start)
        return self.choose(successes, failures), (successes, failures)

    def action_probabilities(
        self,
        observation: Observation,
        state: State | None = None,
        episode_start: NDArray[Any] | None = None,
    ) -> tuple[Floats, State]:
        """The probability of each arm, (N, arms), that :meth:`predict` draws from; and the state.

        Takes what :meth:`predict` takes, and uses no randomness: a target for imitation.
        """
        successes, failures = self.count(observation, state, episode_start)
        return self.probabilities(successes, failures), (successes, failures)

    def count(
        self,
        observation: Observation,
        state: State | None,
        episode_start: NDArray[Any] | None,
    ) -> tuple[Counts, Counts]:
        """Add the last pull of each trial to its counts, or empty them where a trial starts."""
        start = started(observation, episode_start)
        reward = np.asarray(observation["reward"]).reshape(-1)
        if not np.all(start | (reward == 0) | (reward == 1)):
            other = reward[~start & (reward != 0) & (reward != 1)][0]
            raise ValueError(
                f"reward={other}: Bernoulli arms pay 0 or 1. Turn off reward normalisation."
            )
        shape = (len(start), self.arms)
        if state is None:
            successes, failures = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        elif np.shape(state[0]) != shape:
            raise ValueError(
                f"The state has shape {np.shape(state[0])}, not (trials, arms) = {shape}: "
                "begin with state=None."
            )
        else:
            successes, failures = np.array(state[0], np.int32), np.array(state[1], np.int32)
        pulled = np.arange(len(start)), np.asarray(observation["action"]).reshape(-1).astype(int)
        successes[pulled] += reward > 0
        failures[pulled] += reward <= 0
        successes[start] = failures[start] = 0
        return successes, failures

    @abstractmethod
    def choose(self, successes: Counts, failures: Counts) -> NDArray[np.int64]:
        """Choose an arm (N,) for counts (N, arms), with the agent's randomness."""

    @abstractmethod
    def probabilities(self, successes: Counts, failures: Counts) -> Floats:
        """The probability (N, arms) with which :meth:`choose` chooses each arm."""


@dataclass(frozen=True, kw_only=True)
class IndexAgent(BanditAgent):
    """Pulls the arm with the highest score."""

    ties: Literal["random", "first"] = "random"
    """Which of the highest: any with equal chances, or the first, as in the paper's Table 1."""

    @abstractmethod
    def scores(self, successes: Counts, failures: Counts) -> NDArray[Any]:
        """The score (N, arms) of each arm, for counts (N, arms)."""

    def best(self, successes: Counts, failures: Counts) -> NDArray[np.bool_]:
        """The arms to choose among, (N, arms)."""
        scores = self.scores(successes, failures)
        if self.ties == "first":
            return np.asarray(np.argmax(scores, axis=1)[:, None] == np.arange(self.arms))
        return np.asarray(scores == scores.max(axis=1, keepdims=True))

    def choose(self, successes: Counts, failures: Counts) -> NDArray[np.int64]:
        return random_choice(self.best(successes, failures), self.rng)

    def probabilities(self, successes: Counts, failures: Counts) -> Floats:
        return shared(self.best(successes, failures))


@dataclass(frozen=True, kw_only=True)
class Greedy(IndexAgent):
    """Pulls the arm with the highest posterior mean.

    Ties decide much here, for an arm with as many successes as failures ties with a fresh one.
    The paper's figures are those of ``ties="first"``; fresh arms get their chance with "random",
    which is worth 2 points at n=100, k=10.
    """

    def scores(self, successes: Counts, failures: Counts) -> NDArray[Any]:
        alpha = successes + self.prior_alpha
        # One division of exact sums, so that equal means are equal numbers and tie.
        return alpha / (alpha + (failures + self.prior_beta))


@dataclass(frozen=True, kw_only=True)
class EpsilonGreedy(Greedy):
    """With probability epsilon pulls any arm, else the one with the highest posterior mean."""

    epsilon: float = 0.1
    """Probability of a pull at random, in [0, 1]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon={self.epsilon} is no probability: take one in [0, 1].")

    def choose(self, successes: Counts, failures: Counts) -> NDArray[np.int64]:
        greedy = super().choose(successes, failures)
        explore = self.rng.random(len(greedy)) < self.epsilon
        return np.where(explore, self.rng.integers(self.arms, size=len(greedy)), greedy)

    def probabilities(self, successes: Counts, failures: Counts) -> Floats:
        greedy = super().probabilities(successes, failures)
        return (1 - self.epsilon) * greedy + self.epsilon / self.arms


@dataclass(frozen=True, kw_only=True)
class UCB1(IndexAgent):
    """Pulls the arm with the highest upper confidence bound on its mean (Auer et al. 2002).

    The bound is the posterior mean plus ``c sqrt(2 log t / T)`` with T the arm's pulls, the
    prior's successes and failures included, and t the number of the pull about to be made. The
    paper's prior is one of each: ``(S + 1) / (T + 2) + c sqrt(2 log t / (T + 2))``.
    """

    c: float = 0.2
    """Width of the bound; 1 in Auer et al., 0.1 to 0.2 are best in the paper's setting."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.c >= 0:
            raise ValueError(f"c={self.c} is negative: the bound would lie below the mean.")
        if self.c == np.inf:
            raise ValueError(f"c={self.c}: all bounds would be the same.")

    def scores(self, successes: Counts, failures: Counts) -> NDArray[Any]:
        alpha = successes + self.prior_alpha
        pulls = alpha + (failures + self.prior_beta)
        t = (successes + failures).sum(axis=1, keepdims=True) + 1
        return np.asarray(alpha / pulls + self.c * np.sqrt(2 * np.log(t) / pulls))


def too_many_pulls(pull: int, episodes: int) -> ValueError:
    """What an agent raises that knows how many pulls a trial has."""
    return ValueError(
        f"Pull {pull} of a trial of episodes={episodes}: make the agent with the number of pulls "
        "that trials have, and see that observation['start'] is 1 where one begins."
    )


def shared(ties: NDArray[np.bool_]) -> Floats:
    """The probabilities of a uniform choice among each row's ties."""
    return np.asarray(ties / ties.sum(axis=1, keepdims=True))


def random_choice(ties: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose one of each row's ties, uniformly; every row takes one random number."""
    rank = (rng.random(len(ties)) * ties.sum(axis=1)).astype(np.int64)
    return np.asarray(np.argmax(np.cumsum(ties, axis=1) > rank[:, None], axis=1))
