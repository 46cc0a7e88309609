"""Corridors with an exit at one end: a task distribution of a Gymnasium environment."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3 import GymTasks

COST = 0.1
"""Of a step."""


class Corridor(gym.Env[Any, Any]):
    """A corridor whose exit is at the left or the right end; it pays 1, and a step costs 0.1.

    An episode begins in the middle, and ends at the exit or after ``2 * length`` steps.

    :param length: cells of the corridor
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(self, length: int) -> None:
        self.length = length
        self.observation_space = spaces.Discrete(length)
        self.action_space = spaces.Discrete(2)  # left and right
        self.exit = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Begin an episode; the task, the exit's place, comes with the options."""
        super().reset(seed=seed)  # seeds self.np_random, for what is drawn anew in each episode
        if options and "task" in options:
            self.exit = options["task"]
        self.place, self.elapsed = self.length // 2, 0
        return self.place, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Walk: observation, reward, terminated, truncated, info."""
        self.place = int(np.clip(self.place + 2 * action - 1, 0, self.length - 1))
        self.elapsed += 1
        out, late = self.place == self.exit, self.elapsed == 2 * self.length
        info: dict[str, Any] = {}
        if out or late:  # what to report of the episode, in the log and by `rl2 evaluate`
            info["rl2"] = {"success": out, "metrics": {"steps": self.elapsed}}
        return self.place, out - COST, out, late and not out, info

    def render(self) -> NDArray[np.uint8]:
        """A pixel for each cell: the exit is green, the agent blue."""
        picture = np.full((1, self.length, 3), 230, np.uint8)
        picture[0, self.exit] = 60, 180, 75
        picture[0, self.place] = 0, 90, 200
        return picture


@dataclass
class MyTasks(GymTasks):
    """Corridors of one length; the task is the exit's place, which the agent does not see."""

    length: int = 7
    """Cells of the corridor."""

    def __post_init__(self) -> None:
        if self.length < 3:
            raise ValueError(f"length={self.length}: at least 3.")

    def sample(self, rng: np.random.Generator) -> int:
        """Draw a task, anything that can be pickled."""
        return int(rng.choice([0, self.length - 1]))

    def make_env(self) -> Corridor:
        """Make an environment that can take any of the tasks."""
        return Corridor(self.length)
