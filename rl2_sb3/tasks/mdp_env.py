"""The same random tabular MDPs as a plain Gymnasium environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from rl2_sb3.tasks.base import GymTasks
from rl2_sb3.tasks.mdps import MDPs, TabularMDP


class TabularMDPEnv(gym.Env[int, int]):
    """One tabular MDP at a time, given by ``reset(options={"task": mdp})``.

    Without a task, the environment keeps the MDP that it has; it begins with one that it draws.

    :param tasks: the sizes and the noise, and what the first MDP is drawn from
    """

    def __init__(self, tasks: TabularMDP) -> None:
        self.tasks = tasks
        self.observation_space = tasks.observation_space
        self.action_space = tasks.action_space
        self._mdp: MDPs | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Begin an episode in state 0."""
        super().reset(seed=seed)
        if options is not None and "task" in options:
            self._mdp = options["task"]
        elif self._mdp is None:
            self._mdp = draw_mdp(self.tasks, self.np_random)
        self._place = self._step = 0
        return self._place, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Take an action; the episode ends by itself, and is never truncated."""
        if self._mdp is None:
            raise gym.error.ResetNeeded("Call reset() before step().")
        at = self._place, int(action)
        noise = self.tasks.noise_sd * self.np_random.standard_normal()
        reward = float(self._mdp.rewards[at] + noise)
        chance = self.np_random.random()
        self._place = int(np.searchsorted(self._mdp.cumulative[at], chance, side="right"))
        self._step += 1
        return self._place, reward, self._step == self.tasks.horizon, False, {}


@dataclass
class GymTabularMDP(GymTasks):
    """The tasks of a :class:`TabularMDP`, each for an environment of its own."""

    tasks: TabularMDP = field(default_factory=TabularMDP)
    """What the MDPs are drawn from."""

    def sample(self, rng: np.random.Generator) -> MDPs:
        """Draw an MDP."""
        return draw_mdp(self.tasks, rng)

    def make_env(self) -> TabularMDPEnv:
        return TabularMDPEnv(self.tasks)


def draw_mdp(tasks: TabularMDP, rng: np.random.Generator) -> MDPs:
    """Draw one MDP, its arrays without an axis for the task."""
    return MDPs(*(part[0] for part in tasks.sample(1, rng)))
