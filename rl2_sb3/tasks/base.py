"""The two contracts of a task distribution: batched (arrays, fast) and Gymnasium (general).

A *task* is one MDP; a *distribution* draws tasks. A plugin implements one of the two classes
below, names it in the entry-point group ``rl2_sb3.tasks``, and has it checked by
:func:`rl2_sb3.testing.check_tasks`. Its constructor's keyword arguments are the task's options.

``Params`` and ``State`` are arrays with axis 0 the task, or (named) tuples of such arrays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Params = TypeVar("Params")
State = TypeVar("State")
Observation = Any  # what ``observation_space`` holds, with axis 0 the task: an array, or a dict


class BatchedTasks(ABC, Generic[Params, State]):
    """Thousands of tasks advance in one call; every array has axis 0 the task.

    ``horizon`` is the length of every episode where all have the same, else ``None``. An episode
    that the distribution cuts at a time limit ends like any other: ``ended`` is true.

    A distribution keeps nothing of the tasks and episodes that it is handed: all that :meth:`reset`
    and :meth:`step` give depends on their arguments alone.
    """

    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    horizon: int | None = None

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> Params:
        """Draw ``n`` tasks."""

    @abstractmethod
    def reset(self, params: Params, rng: np.random.Generator) -> tuple[State, Observation]:
        """Begin an episode in each task.

        :return: the state of each episode, and its first observation
        """

    @abstractmethod
    def step(
        self, params: Params, state: State, action: NDArray[Any], rng: np.random.Generator
    ) -> tuple[State, Observation, NDArray[np.floating], NDArray[np.bool_]]:
        """Advance every task by one step.

        Draw as many random numbers whatever the actions are, and all agents that are evaluated
        with one seed meet the same noise.

        :param action: actions, axis 0 the task
        :return: state, observation, reward ``(n,)`` and ended ``(n,)``. Where an episode ended,
            the observation is its last; :meth:`reset` gives the next episode's first.
        """

    def optimal_return(self, params: Params) -> NDArray[np.floating] | None:
        """The highest expected return of an episode given the task, ``(n,)``.

        Regret is measured against it. By default None: not known.
        """
        return None

    def held_out(self) -> BatchedTasks[Params, State]:
        """What a trained agent is evaluated on: tasks that training has not met.

        By default the distribution itself, for where no task is drawn twice.
        """
        return self

    def privileged_observation(self, params: Params, state: State) -> NDArray[np.floating] | None:
        """What only a simulator knows of the tasks, ``(n, features)``, for the value network.

        The policy never sees it. Where it tells something of each action, that comes first, in
        their order: ``action-sums`` takes it so. By default None: there is none.
        """
        return None

    def metrics(self, params: Params, state: State) -> Mapping[str, NDArray[Any]] | None:
        """What to report of episodes beside their return, each ``(n,)``, by name.

        It is asked for after a step in which episodes ended, and read in their rows alone, before
        :meth:`reset`. NaN stands for what is not known. ``success`` is whether the episode
        succeeded. By default None: nothing.
        """
        return None

    def render(self, params: Params, state: State) -> NDArray[np.uint8] | None:
        """A picture of the first task, ``(height, width, 3)``, red, green and blue from 0 to 255.

        ``rl2 watch`` shows it. By default None: that shows words instead.
        """
        return None

    def training_reward(
        self, params: Params, state: State, action: NDArray[Any]
    ) -> NDArray[np.floating] | None:
        """What to learn from in the reward's place, ``(n,)``, with less noise.

        The mean of the reward that the action gets, given the state before it; or any other number
        whose undiscounted sum over an episode has the rewards' expectation, whatever the policy.
        In trials of one length it may be less by what depends on the task alone, as a regret is:
        nothing else is learned then, and the value network has smaller numbers to learn.
        By default None: not known.
        """
        return None


class GymTasks(ABC):
    """A distribution over tasks of one Gymnasium environment.

    The environment takes the task at ``reset(seed=..., options={"task": task})``. It may run in
    another process, so tasks are picklable. Where its simulator may die in the middle of an
    episode, it starts another and ends the episode with ``truncated`` and ``lost``: the trial ends
    there, is not counted, and is played again.

    What the environment reports beyond Gymnasium is ``info["rl2"]``, a dict with the entries
    of :class:`StepInfo`: ``success``, ``metrics`` and ``lost`` of episodes; and, where the reset
    asked for it (``options["privileged"]`` is true), in every step the ``training_reward``, which
    training learns from in the reward's place: its mean, or a reward that also pays what helps to
    find the others. What the agent sees is the reward. It may then give, in resets too, a
    ``privileged_observation``, ``privileged_size`` numbers that only a simulator knows: see
    :meth:`BatchedTasks.privileged_observation`.
    """

    privileged_size: ClassVar[int] = 0

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Any:
        """Draw a task."""

    @abstractmethod
    def make_env(self) -> gym.Env[Any, Any]:
        """Make an environment that can take any of the tasks."""

    def all_tasks(self) -> Sequence[Any] | None:
        """All tasks, where they are a list that evaluation goes through. By default None."""
        return None

    def held_out(self) -> GymTasks:
        """What a trained agent is evaluated on: tasks that training has not met.

        By default the distribution itself, for where no task is drawn twice.
        """
        return self


def take(tree: Any, rows: NDArray[Any]) -> Any:
    """Rows of a tree of arrays: an array, a (named) tuple or a dict of trees, or ``None``."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: take(value, rows) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return _like(tree, [take(value, rows) for value in tree])
    return tree[rows]


def put(tree: Any, rows: NDArray[Any], values: Any) -> Any:
    """A copy of a tree of arrays with ``values`` in its ``rows``.

    A copy, since an observation may be a part of the state or of the params.
    """
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: put(value, rows, values[key]) for key, value in tree.items()}
    if isinstance(tree, tuple):
        parts = zip(tree, values, strict=True)
        return _like(tree, [put(value, rows, new) for value, new in parts])
    tree = np.array(tree)
    tree[rows] = values
    return tree


def _like(old: tuple[Any, ...], parts: list[Any]) -> tuple[Any, ...]:
    make: Callable[[list[Any]], tuple[Any, ...]] = getattr(old, "_make", tuple)  # of NamedTuples
    return make(parts)
