"""A family of levels as one environment, to which the level comes as a task."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.core.world_object import Goal
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray

from rl2_minigrid.missions import Tokens

STATES = 4
"""Of a door: open, closed, locked; of an agent: its direction."""
KINDS = (len(OBJECT_TO_IDX), len(COLOR_TO_IDX), STATES)
"""How many values each of a cell's three numbers has: object, colour, state."""
KNOWN = 4
"""Numbers of the privileged observation."""
Observation = dict[str, Any]


class LevelEnv(gym.Env[Observation, Any]):
    """A level, given by ``reset(options={"task": number})``, seen by the agent in it.

    The number is the seed that MiniGrid draws the level from, the agent's place among it; what
    happens by chance afterwards depends on the reset's own seed. Without a task, the environment
    keeps the level that it has; it begins with level 0. With an episode's end,
    ``info["rl2"]["success"]`` is whether it was paid. Privileged training knows where the agent is,
    and how far ahead and to the right of it the goal is, each by the grid's size; where a level has
    no goal, or several, it is the first that there is, or none, and 0.

    :param env: MiniGrid's
    :param actions: how many of its actions there are, from the first on
    :param mission: observe its text, as tokens
    :param position: observe the agent's cell, its column and row
    """

    def __init__(self, env: MiniGridEnv, actions: int, mission: bool, position: bool = False):
        self._env: Any = env
        self.task = 0
        self._privileged = False
        self._goal: tuple[int, int] | None = None
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
        self._position = position
        if position:
            seen["position"] = spaces.MultiDiscrete([env.width, env.height])
        self.observation_space = spaces.Dict(seen)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in a level."""
        super().reset(seed=seed)
        options = options or {}
        self.task = options.get("task", self.task)
        self._privileged = options.get("privileged", False)
        observation, info = self._env.reset(seed=self.task)
        self._env.np_random = self.np_random
        if self._privileged:
            self._goal = self._find_goal()
            info = {**info, "rl2": {"privileged_observation": self._known()}}
        return self._seen(observation), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Do what MiniGrid's action of that number does."""
        observation, reward, terminated, truncated, info = self._env.step(int(action))
        ours: dict[str, Any] = {}
        if self._privileged:
            ours = {"training_reward": float(reward), "privileged_observation": self._known()}
        if terminated or truncated:
            ours["success"] = float(reward) > 0
        if ours:
            info = {**info, "rl2": ours}
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
        if self._position:
            seen["position"] = np.array(self._env.agent_pos)
        return seen

    def _find_goal(self) -> tuple[int, int] | None:
        grid = self._env.grid
        cells = ((x, y) for x in range(grid.width) for y in range(grid.height))
        return next((cell for cell in cells if isinstance(grid.get(*cell), Goal)), None)

    def _known(self) -> NDArray[np.float32]:
        """The privileged observation, ``(KNOWN,)``."""
        (x, y), size = self._env.agent_pos, max(self._env.width, self._env.height)
        goal_x, goal_y = self._goal or (x, y)
        offset = np.array((goal_x - x, goal_y - y))
        ahead, right = offset @ self._env.dir_vec, offset @ self._env.right_vec
        known: NDArray[np.float32] = np.array((x, y, ahead, right), np.float32) / np.float32(size)
        return known
