"""Using what was learned: an agent on a plain environment, without any training code."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray

from rl2_sb3.agent_file import read_agent
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.trials.checks import WAY_OUT, FlawError, read_ends, read_reward
from rl2_sb3.trials.spaces import flatten, no_action


class Agent:
    """A trained policy that carries its memory across the episodes of a trial by itself.

    ::

        agent = load_agent("bandit-k10-n10")
        agent.reset()                              # a new trial: a new task
        for episode in range(10):
            observation, _ = env.reset()
            over = False
            while not over:
                action = agent.act(observation)
                observation, reward, terminated, truncated, _ = env.step(action)
                over = terminated or truncated
                agent.observe(reward, over)

    ``reset(n)`` begins ``n`` trials at once; then all that goes in and out has axis 0 the trial.
    """

    def __init__(self, policy: GRUPolicy, info: dict[str, Any]):
        self.policy = policy
        self.info = info
        """What is known of its training: task, its options, episodes per trial, steps, seed."""
        self._n: int | None = None
        self._ready = self._acted = False

    def reset(self, n: int | None = None) -> None:
        """Begin a new trial, or ``n`` at once: the memory is emptied."""
        if n is not None and n < 1:
            raise ValueError(f"n={n}: at least one trial.")
        rows = 1 if n is None else n
        nothing = no_action(self.policy.action_space)
        self._n = n
        self._state: tuple[NDArray[Any], ...] | None = None
        self._last: dict[str, NDArray[Any]] = {
            "action": np.repeat(nothing[None], rows, axis=0),
            "reward": np.zeros((rows, 1), np.float32),
            "done": np.zeros((rows, 1), np.int8),
            "start": np.ones((rows, 1), np.int8),
        }
        self._ready, self._acted = True, False

    def act(self, observation: Any, deterministic: bool = False) -> Any:
        """Choose the next action.

        :param observation: the environment's own
        :param deterministic: take the likeliest action; by default it is sampled, as in training
        :raises ValueError: an observation that is not finite, or of another shape
        :raises RuntimeError: :meth:`observe` was not called after the last action
        """
        if not self._ready:
            raise RuntimeError("Call reset() before the first act() of a trial.")
        if self._acted:
            raise RuntimeError("Call observe(reward, done) after each action.")
        own = flatten(observation, self.policy.observation_space)
        if self._n is None:
            own = {key: np.asarray(value)[None] for key, value in own.items()}
        actions, self._state = self.predict(
            {**own, **self._last}, self._state, deterministic=deterministic
        )
        self._last["action"] = actions.copy()  # an environment may change what it is handed
        self._acted = True
        return actions if self._n is not None else actions[0]

    def observe(self, reward: Any, done: Any) -> None:
        """Take in what followed from the last action.

        :param reward: of the last step
        :param done: whether it ended the episode, terminated or truncated
        :raises ValueError: a reward that is no finite number, or an end that is neither true nor
            false
        """
        if not self._acted:
            raise RuntimeError("Call act() before observe().")
        rows = 1 if self._n is None else self._n
        try:
            rewards = read_reward(np.asarray(reward).reshape(rows), rows)
            ends = read_ends(np.asarray(done).reshape(rows), rows)
        except FlawError as flaw:
            raise ValueError(f"The agent is handed {flaw}. {WAY_OUT}") from None
        self._last["reward"] = rewards[:, None]
        self._last["done"] = ends[:, None].astype(np.int8)
        self._last["start"] = np.zeros((rows, 1), np.int8)
        self._acted = False

    def predict(
        self,
        observation: dict[str, NDArray[Any]],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """SB3's interface, over observations of trials: see :meth:`GRUPolicy.predict`."""
        return self.policy.predict(observation, state, episode_start, deterministic)


def load_agent(name: str | os.PathLike[str], device: th.device | str = "cpu") -> Agent:
    """Load an agent: a file's path, or the name of an agent that a plugin registers.

    :raises ValueError: no such name, or not an agent's file
    """
    policy, info = read_agent(name)
    return Agent(policy.to(device), info)
