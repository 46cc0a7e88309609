"""A family of levels as one environment, to which the level comes as a task."""

from __future__ import annotations

from collections import deque
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
NEARER = 0.1
"""Privileged training's reward for a cell that the agent comes nearer to the goal."""
BLOCKING = ("wall", "lava")
Observation = dict[str, Any]
Cell = tuple[int, int]


class LevelEnv(gym.Env[Observation, Any]):
    """A level, given by ``reset(options={"task": number})``, seen by the agent in it.

    The number is the seed that MiniGrid draws the level from, the agent's place among it; what
    happens by chance afterwards depends on the reset's own seed. Without a task, the environment
    keeps the level that it has; it begins with level 0. With an episode's end,
    ``info["rl2"]["success"]`` is whether it was paid. Privileged training knows the columns and
    rows of the agent and the goal, by the grid's size, and its reward pays .1 for each cell that
    the agent comes nearer on the shortest way. Where a level has several goals, the first counts;
    where it has none, the agent's own cell stands for it, and nothing is paid.

    :param env: MiniGrid's
    :param actions: how many of its actions there are, from the first on
    :param mission: observe its text, as tokens
    :param position: observe the agent's cell, its column and row
    """

    def __init__(self, env: MiniGridEnv, actions: int, mission: bool, position: bool = False):
        self._env: Any = env
        self.task = 0
        self._privileged = False
        self._goal: Cell | None = None
        self._ways: dict[Cell, int] = {}
        self._far = 0
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
            self._ways = self._distances()
            self._far = self._ways.get(tuple(self._env.agent_pos), 0)
            info = {**info, "rl2": {"privileged_observation": self._known()}}
        return self._seen(observation), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Do what MiniGrid's action of that number does."""
        observation, reward, terminated, truncated, info = self._env.step(int(action))
        ours: dict[str, Any] = {}
        if self._privileged:
            far = self._ways.get(tuple(self._env.agent_pos), self._far)
            paid = float(reward) + NEARER * (self._far - far)
            ours = {"training_reward": paid, "privileged_observation": self._known()}
            self._far = far
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

    def _find_goal(self) -> Cell | None:
        grid = self._env.grid
        cells = ((x, y) for x in range(grid.width) for y in range(grid.height))
        return next((cell for cell in cells if isinstance(grid.get(*cell), Goal)), None)

    def _distances(self) -> dict[Cell, int]:
        """Cells from the goal, by the cell where the agent is; doors count as open."""
        grid, found = self._env.grid, {} if self._goal is None else {self._goal: 0}
        queue = deque(found)
        while queue:
            x, y = queue.popleft()
            for cell in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                within = 0 <= cell[0] < grid.width and 0 <= cell[1] < grid.height
                if cell in found or not within:
                    continue
                there = grid.get(*cell)
                if there is None or there.type not in BLOCKING:
                    found[cell] = found[x, y] + 1
                    queue.append(cell)
        return found

    def _known(self) -> NDArray[np.float32]:
        """The privileged observation, ``(KNOWN,)``."""
        place, size = self._env.agent_pos, max(self._env.width, self._env.height)
        known: NDArray[np.float32] = np.array((*place, *(self._goal or place)), np.float32)
        return known / np.float32(size)
