"""Trials of a teacher and its student, to learn from by supervision."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from torch.distributions import Categorical

from rl2_sb3.policies import GRUPolicy
from rl2_sb3.trials.sizes import trial_length


class Teacher(Protocol):
    """A baseline whose choices are known as probabilities.

    One that plans may have ``action_costs(state)``, too: what each action loses against the best,
    ``(trials, actions)``, after the observation that this state has come from.
    """

    def action_probabilities(
        self, observation: Any, state: Any = None, episode_start: Any = None
    ) -> tuple[NDArray[np.floating], Any]:
        """Probabilities of the actions ``(trials, actions)``, and the next state."""


class Played(NamedTuple):
    """A trial of each column, time-major: axis 0 the step, axis 1 the column."""

    observations: dict[str, NDArray[Any]]
    probabilities: NDArray[np.floating]
    """The teacher's, of each action, ``(steps, columns, actions)``."""
    costs: NDArray[np.floating]
    """What each action loses, of the same shape; zeros where the teacher is not asked."""
    rewards: NDArray[np.floating]
    """``(steps, columns)``."""
    by_student: NDArray[np.bool_]
    """Who acted, ``(columns,)``."""

    def columns(self, some: slice) -> Played:
        """A part of the columns."""
        observations = {key: part[:, some] for key, part in self.observations.items()}
        return Played(
            observations,
            *(self.probabilities[:, some], self.costs[:, some], self.rewards[:, some]),
            self.by_student[some],
        )


class Demonstrations:
    """Fresh trials of a teacher and its student, each round from new tasks.

    :param trials: where they act, all trials of one length
    :param student: acts in a share of the columns, and the teacher says there what it would do
    :param student_share: of the columns, 0 to 1, spread evenly
    :param costs: ask the teacher what actions cost
    :raises ValueError: trials of different lengths, actions that are not discrete, or a baseline
        without action probabilities, or without their costs
    """

    def __init__(
        self,
        trials: VecEnv,
        teacher: Teacher,
        seed: int,
        student: GRUPolicy | None = None,
        student_share: float = 0.0,
        costs: bool = False,
    ):
        length = trial_length(trials)
        if length is None or trials.action_space.shape != ():
            raise ValueError("Imitation needs trials of one length and discrete actions.")
        check_teacher(teacher, costs)
        self.trials, self.teacher, self.seed, self.length = trials, teacher, seed, length
        self.ask_costs: Any = teacher.action_costs if costs else None  # type: ignore[attr-defined]
        self.student = student
        self.by_student = students_columns(trials.num_envs, student_share)

    def play(self, number: int, obs: Any) -> tuple[Played, Any]:
        """One trial of each column.

        :param number: of the round: it seeds the choices
        :param obs: the trials' first observation
        :return: the trials, and the next ones' first observation
        """
        rng = np.random.default_rng([self.seed, number])
        seen, probabilities, costs, rewards, state = [], [], [], [], None
        memory: Any = None
        for _ in range(self.length):
            chances, state = self.teacher.action_probabilities(obs, state)
            taken = chances
            if self.by_student.any():
                taken = np.array(chances)
                taken[self.by_student], memory = self._students_chances(obs, memory)
            draw = rng.random((len(taken), 1))
            actions = np.minimum((taken.cumsum(axis=1) < draw).sum(axis=1), taken.shape[1] - 1)
            seen.append(obs)
            probabilities.append(chances)
            costs.append(self.ask_costs(state) if self.ask_costs else np.zeros_like(chances))
            obs, reward, _, _ = self.trials.step(actions)
            rewards.append(reward)
        observations = {key: np.stack([each[key] for each in seen]) for key in seen[0]}
        choices = np.stack(probabilities), np.stack(costs)
        return Played(observations, *choices, np.stack(rewards), self.by_student), obs

    def _students_chances(
        self, obs: Any, memory: th.Tensor | None
    ) -> tuple[NDArray[np.floating], th.Tensor]:
        """The student's action probabilities in its columns, and its next memory."""
        assert self.student is not None
        own: Any = {
            key: th.as_tensor(value[self.by_student], device=self.student.device)
            for key, value in obs.items()
        }
        columns = int(self.by_student.sum())
        own["memory"] = self.student.initial_memory(columns) if memory is None else memory
        with th.no_grad():
            memory = self.student.act(own).memory
        return action_distribution(self.student).probs.cpu().numpy(), memory


def students_columns(columns: int, share: float) -> NDArray[np.bool_]:
    """In which columns the student acts, ``(columns,)``: a share of them, spread evenly.

    :raises ValueError: no share, or less than a column's
    """
    by_student = np.diff(np.floor(np.arange(columns + 1) * share + 1e-9)) > 0
    if not 0 <= share <= 1 or (share and not by_student.any()):
        raise ValueError(
            f"student_share={share}: use one from 0 to 1, and of {columns} columns one at least."
        )
    return np.asarray(by_student)


def check_teacher(teacher: Any, costs: bool) -> None:
    """Check that a baseline has what its student is to learn.

    :param costs: of actions as well as probabilities
    :raises ValueError: it does not
    """
    if not callable(getattr(teacher, "action_probabilities", None)):
        raise ValueError(
            f"{teacher} has no action probabilities: greedy, ucb1, thompson, "
            "gittins, and for tabular MDPs beb, ucrl2 and greedy-mdp do."
        )
    if costs and not callable(getattr(teacher, "action_costs", None)):
        raise ValueError(
            f"{teacher} has no action costs: beb, ucrl2 and greedy-mdp do. Leave cost_weight at 0."
        )


def action_distribution(policy: GRUPolicy) -> Categorical:
    """The distribution of the actions that the policy evaluated last."""
    distribution = policy.action_dist.distribution
    assert isinstance(distribution, Categorical)
    return distribution
