"""Trials of a teacher and its student, to learn from by supervision."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from torch.distributions import Categorical

from rl2_sb3.policies import GRUPolicy
from rl2_sb3.trials.sizes import trial_length
from rl2_sb3.trials.spaces import PRIVILEGED
from rl2_sb3.trials.steps import read_step


class Teacher(Protocol):
    """A baseline whose choices are known as probabilities.

    One that plans may have ``action_costs(state)``, too: what each action loses against the best,
    ``(trials, actions)``, after the observation that this state has come from. One that reads the
    privileged observation says so: ``privileged = True``.
    """

    def action_probabilities(
        self, observation: Any, state: Any = None, episode_start: Any = None
    ) -> tuple[NDArray[np.floating], Any]:
        """Probabilities of the actions ``(trials, actions)``, and the next state."""


class Played(NamedTuple):
    """A round, time-major: axis 0 the step, axis 1 the column."""

    observations: dict[str, NDArray[Any]]
    probabilities: NDArray[np.floating]
    """The teacher's, of each action, ``(steps, columns, actions)``."""
    costs: NDArray[np.floating]
    """What each action loses, of the same shape; zeros where the teacher is not asked."""
    rewards: NDArray[np.floating]
    """``(steps, columns)``."""
    ended: NDArray[np.bool_]
    """Whether a trial ended with the step, ``(steps, columns)``."""
    cut: NDArray[np.bool_]
    """Whether that was no end of its own: its simulator died, or a time limit cut it."""
    by_student: NDArray[np.bool_]
    """Who acted, ``(columns,)``."""

    def columns(self, some: slice) -> Played:
        """A part of the columns."""
        observations = {key: part[:, some] for key, part in self.observations.items()}
        return Played(
            observations,
            *(self.probabilities[:, some], self.costs[:, some], self.rewards[:, some]),
            *(self.ended[:, some], self.cut[:, some], self.by_student[some]),
        )


class Demonstrations:
    """Fresh trials of a teacher and its student, each round from new tasks.

    A round is a trial of each column, or ``n_steps`` steps, in which a column plays one trial after
    the other, the last one perhaps in part.

    :param trials: where they act
    :param student: acts in a share of the columns, and the teacher says there what it would do
    :param student_share: of the columns, 0 to 1, spread evenly
    :param costs: ask the teacher what actions cost
    :param n_steps: of a round, by default those of a trial
    :raises ValueError: trials of different lengths without ``n_steps``, or longer than it, actions
        that are not discrete, or a teacher that :func:`check_teacher` refuses
    """

    def __init__(
        self,
        trials: VecEnv,
        teacher: Teacher,
        seed: int,
        student: GRUPolicy | None = None,
        student_share: float = 0.0,
        costs: bool = False,
        n_steps: int | None = None,
    ):
        whole = trial_length(trials)
        length = whole if n_steps is None else n_steps
        if trials.action_space.shape != ():
            raise ValueError("Imitation needs discrete actions.")
        if length is None:
            raise ValueError(
                "The trials differ in length: give the steps of a round, --n-steps (n_steps=...)."
            )
        if length < (whole or 0):
            raise ValueError(f"n_steps={n_steps} is less than a trial's {whole} steps.")
        assert isinstance(trials.observation_space, spaces.Dict)
        check_teacher(teacher, costs, PRIVILEGED in trials.observation_space.spaces)
        self.trials, self.teacher, self.seed, self.length = trials, teacher, seed, length
        self.anew = n_steps is not None
        """Whether a round begins with new trials although old ones may not be over."""
        self.ask_costs: Any = teacher.action_costs if costs else None  # type: ignore[attr-defined]
        self.student = student
        self.by_student = students_columns(trials.num_envs, student_share)

    def play(self, number: int, obs: Any) -> tuple[Played, Any]:
        """A round.

        :param number: of the round: it seeds the choices
        :param obs: the trials' first observation; with ``n_steps`` they are reset instead
        :return: the round, and the next one's first observation, or with ``n_steps`` the last
        """
        rng = np.random.default_rng([self.seed, number])
        seen, probabilities, costs, came, state = [], [], [], [], None
        memory: Any = None
        if self.anew:
            obs = self.trials.reset()
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
            step = read_step(*self.trials.step(actions), trials=self.trials)
            came.append((step.reward, step.trial_ended, step.cut))
            obs = step.observation
        observations = {key: np.stack([each[key] for each in seen]) for key in seen[0]}
        chosen = np.stack(probabilities), np.stack(costs)
        rewards, ended, cut = (np.stack(part) for part in zip(*came, strict=True))
        return Played(observations, *chosen, rewards, ended, cut, self.by_student), obs

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


def check_teacher(teacher: Any, costs: bool, privileged: bool = False) -> None:
    """Check that a baseline has what its student is to learn.

    :param costs: of actions as well as probabilities
    :param privileged: whether trials have the privileged observation
    :raises ValueError: it does not, or reads the privileged observation where there is none
    """
    if getattr(teacher, "privileged", False) and not privileged:
        raise ValueError(
            f"{type(teacher).__name__} reads the privileged observation: add --privileged, or "
            "make_trials(..., privileged=True)."
        )
    if not callable(getattr(teacher, "action_probabilities", None)):
        raise ValueError(
            f"{teacher} has no action probabilities: greedy, ucb1, thompson, "
            "gittins, and for tabular MDPs beb, beb-replanning, ucrl2 and greedy-mdp do."
        )
    if costs and not callable(getattr(teacher, "action_costs", None)):
        raise ValueError(
            f"{teacher} has no action costs: beb, beb-replanning, ucrl2 and greedy-mdp do. Leave "
            "cost_weight at 0."
        )


def action_distribution(policy: GRUPolicy) -> Categorical:
    """The distribution of the actions that the policy evaluated last."""
    distribution = policy.action_dist.distribution
    assert isinstance(distribution, Categorical)
    return distribution
