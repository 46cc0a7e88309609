"""POPGym's environments as tasks, as rl2-sb3 finds them by their name."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
import popgym  # registers its environments

from rl2_sb3 import GymTasks
from rl2_sb3.registry import did_you_mean

assert popgym
PREFIX, VERSION = "popgym-", "-v0"
Split = Literal["train", "test"]
SEEDS = 2**30
"""Of each split."""


def names() -> list[str]:
    """All environments': POPGym's ids without ``popgym-`` and ``-v0``."""
    ids = (name.removeprefix(PREFIX) for name in gym.registry if name.startswith(PREFIX))
    return sorted(name.removesuffix(VERSION) for name in ids)


class DealEnv(gym.Env[Any, Any]):
    """An environment whose deal, ``reset(options={"task": seed})``, stays as it is.

    A deal is all that the environment draws in a reset: the order of cards, mines, ships, arms, a
    maze, a pole's first angle. What happens by chance afterwards depends on the reset's own seed.
    Without a task, the environment keeps the deal that it has; it begins with that of seed 0.
    """

    def __init__(self, env: gym.Env[Any, Any]):
        self._env = env
        self.task = 0
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.metadata, self.render_mode = env.metadata, env.render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode with a deal."""
        super().reset(seed=seed)
        self.task = (options or {}).get("task", self.task)
        observation, info = self._env.reset(seed=self.task)
        self._env.np_random = self.np_random
        return observation, deepcopy(info)  # POPGym goes on writing into some

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment."""
        observation, reward, terminated, truncated, info = self._env.step(action)
        return observation, float(reward), bool(terminated), bool(truncated), deepcopy(info)

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


@dataclass
class POPGym(GymTasks):
    """Deals of one of POPGym's environments, which show a part of their state alone.

    The benchmark's own episodes are trials of one episode.
    """

    env: str = "RepeatPreviousEasy"
    """A POPGym id without popgym- and -v0, such as AutoencodeHard or MineSweeperEasy."""
    split: Split = "train"
    """The two draw deals from different seeds."""

    def __post_init__(self) -> None:
        if self.split not in get_args(Split):
            raise ValueError(f"split={self.split!r}: use train or test.")
        if self.env not in names():
            raise ValueError(
                f"env={self.env!r} is none of POPGym's.{did_you_mean(self.env, names())} There "
                f"are: {', '.join(names())}."
            )

    def sample(self, rng: np.random.Generator) -> int:
        """Draw a deal: the seed that the environment draws it from."""
        return int(rng.integers(SEEDS)) + SEEDS * (self.split == "test")

    def held_out(self) -> POPGym:
        """The test split."""
        return replace(self, split="test")

    def make_env(self) -> DealEnv:
        """An environment that can take any of the deals."""
        env: Any = gym.make(f"{PREFIX}{self.env}{VERSION}", disable_env_checker=True)
        return DealEnv(env.unwrapped)
