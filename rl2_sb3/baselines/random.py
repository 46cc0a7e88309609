"""The agent that everybody should beat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from typing_extensions import Self

from rl2_sb3.baselines.base import SeededAgent
from rl2_sb3.tasks.base import BatchedTasks, GymTasks


@dataclass(frozen=True, kw_only=True)
class RandomActions(SeededAgent):
    """Takes any action, of any task distribution, whatever it has seen."""

    action_space: spaces.Space[Any]
    """What to draw from, uniformly."""

    @classmethod
    def for_tasks(cls, tasks: Any, episodes: int, **parameters: Any) -> Self:
        """The agent for a task distribution, or for a function that makes environments."""
        if isinstance(tasks, (BatchedTasks, gym.Env)):
            return cls(action_space=tasks.action_space, **parameters)
        env = tasks.make_env() if isinstance(tasks, GymTasks) else tasks()
        try:
            return cls(action_space=env.action_space, **parameters)
        finally:
            env.close()

    @cached_property
    def spaces(self) -> dict[int, spaces.Space[Any]]:
        """The space of so many actions at once, made and seeded when first needed."""
        return {}

    def predict(
        self,
        observation: dict[str, NDArray[Any]],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """Draw an action for each trial; ``deterministic`` is ignored."""
        n = len(observation["start"])
        if n not in self.spaces:
            self.spaces[n] = batch_space(self.action_space, n)
            self.spaces[n].seed(self.seed)
        return np.asarray(self.spaces[n].sample()), state
