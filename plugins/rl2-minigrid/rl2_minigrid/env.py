"""A family of levels as one environment, to which the level comes as a task."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.minigrid_env import MiniGridEnv

from rl2_minigrid.missions import Tokens

STATES = 4
"""Of a door: open, closed, locked; of an agent: its direction."""
KINDS = (len(OBJECT_TO_IDX), len(COLOR_TO_IDX), STATES)
"""How many values each of a cell's three numbers has: object, colour, state."""
Observation = dict[str, Any]


class LevelEnv(gym.Env[Observation, Any]):
    """A level, given by ``reset(options={"task": number})``, seen by the agent in it.

    The number is the seed that MiniGrid draws the level from, the agent's place among it; what
    happens by chance afterwards depends on the reset's own seed. Without a task, the environment
    keeps the level that it has; it begins with level 0. With an episode's end,
    ``info["rl2"]["success"]`` is whether it was paid.

    :param env: MiniGrid's
    :param actions: how many of its actions there are, from the first on
    :param mission: observe its text, as tokens
    """

    def __init__(self, env: MiniGridEnv, actions: int, mission: bool):
        self._env: Any = env
        self.task = 0
        self.render_mode = env.render_mode
        self.metadata = env.metadata
        theirs: Any = env.observation_space
        self._tokens = Tokens(theirs["mission"]) if mission else None
        self.action_space = spaces.Discrete(actions)
        view, high = env.agent_view_size, np.array(KINDS, np.uint8) - 1
        seen: dict[str, spaces.Space[Any]] = {
            "view": spaces.Box(0, np.broadcast_to(high, (view, view, 3)), dtype=np.uint8),
            "direction": spaces.Discrete(4),
        }
        if self._tokens is not None:
            seen["mission"] = self._tokens.space
        self.observation_space = spaces.Dict(seen)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in a level."""
        super().reset(seed=seed)
        self.task = (options or {}).get("task", self.task)
        observation, info = self._env.reset(seed=self.task)
        self._env.np_random = self.np_random
        return self._seen(observation), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Do what MiniGrid's action of that number does."""
        observation, reward, terminated, truncated, info = self._env.step(int(action))
        if terminated or truncated:
            info = {**info, "rl2": {"success": float(reward) > 0}}
        return self._seen(observation), float(reward), terminated, truncated, info

    def render(self) -> Any:
        """A picture of the whole level; what the agent sees of it is lighter."""
        return self._env.render()

    def close(self) -> None:
        """Close MiniGrid's environment."""
        self._env.close()

    def _seen(self, observation: Observation) -> Observation:
        seen = {"view": observation["image"], "direction": int(observation["direction"])}
        if self._tokens is not None:
            seen["mission"] = self._tokens(observation["mission"])
        return seen
