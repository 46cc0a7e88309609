"""Small environments and task distributions, one for each thing that trials must handle.

An environment's reward says how near the action is to a hidden target, and its observations are
random; both come from the seed of ``reset``, so the seed is the task.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3.tasks.base import BatchedTasks, GymTasks


class SmallEnv(gym.Env[Any, Any]):
    """Episodes of ``length`` steps that are truncated at their end, or terminated."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        length: int = 3,
        truncates: bool = False,
    ):
        self.observation_space = observation_space
        self.action_space = action_space
        self.length = length
        self.truncates = truncates
        # Copies, since sampling must not disturb what a user samples from the spaces.
        self._observations = deepcopy(observation_space)
        self._actions = deepcopy(action_space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._observations.seed(int(self.np_random.integers(2**31)))
        self._actions.seed(int(self.np_random.integers(2**31)))
        self.target = self._actions.sample()
        self.elapsed = 0
        return self._observations.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.elapsed += 1
        over = self.ends(action)
        reward = self.reward(action, over)
        info = {"is_success": reward > 0} if over else {}
        ends = (not self.truncates and over), (self.truncates and over)
        return self._observations.sample(), reward, *ends, info

    def ends(self, action: Any) -> bool:
        return self.elapsed >= self.length

    def reward(self, action: Any, over: bool) -> float:
        if isinstance(self.action_space, spaces.Box):
            return float(-np.abs(np.asarray(action) - self.target).sum())
        return float(np.array_equal(action, self.target))


class RaggedEnv(SmallEnv):
    """Episodes of two to six steps; action 1 ends one more often."""

    def __init__(self, truncates: bool = False):
        super().__init__(vector(2), spaces.Discrete(2), 6, truncates)

    def ends(self, action: Any) -> bool:
        chance = self.np_random.random()
        early = self.elapsed > 1 and chance < (0.6 if action == 1 else 0.2)
        return super().ends(action) or bool(early)


class LastRewardEnv(SmallEnv):
    """The only reward comes on an episode's last step: how many actions hit the target."""

    def __init__(self, length: int = 3):
        super().__init__(vector(2), spaces.Discrete(3), length)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        self.hits = 0
        return super().reset(seed=seed, options=options)

    def reward(self, action: Any, over: bool) -> float:
        self.hits += int(action == self.target)
        return float(self.hits) if over else 0.0


def vector(size: int) -> spaces.Box:
    return spaces.Box(-1, 1, (size,), np.float32)


def dict_env() -> SmallEnv:
    parts = {"place": spaces.Discrete(4), "speed": vector(2)}
    return SmallEnv(spaces.Dict(parts), spaces.Discrete(2))


def image_env(truncates: bool = False) -> SmallEnv:
    image = spaces.Box(0, 255, (24, 20, 3), np.uint8)
    return SmallEnv(image, spaces.Discrete(3), truncates=truncates)


def multi_discrete_env() -> SmallEnv:
    return SmallEnv(spaces.MultiDiscrete([3, 2]), spaces.MultiDiscrete([2, 3]))


def multi_binary_env() -> SmallEnv:
    return SmallEnv(spaces.MultiBinary(2), spaces.MultiBinary(3))


def box_env() -> SmallEnv:
    """Actions of two dimensions; 0 lies outside the bounds of the second."""
    low, high = np.array([-1, 0.5], np.float32), np.array([1, 2], np.float32)
    return SmallEnv(vector(3), spaces.Box(low, high))


def truncating_env() -> SmallEnv:
    return SmallEnv(vector(2), spaces.Discrete(2), truncates=True)


ENVS: dict[str, Callable[[], SmallEnv]] = {
    "dict": dict_env,
    "image": image_env,
    "multi-discrete": multi_discrete_env,
    "multi-binary": multi_binary_env,
    "box": box_env,
    "truncating": truncating_env,
    "ragged": RaggedEnv,
    "ragged-truncating": partial(RaggedEnv, truncates=True),
    "last-reward": LastRewardEnv,
}
"""Functions that make an environment, by name."""


class GoalEnv(gym.Env[Any, Any]):
    """Walk on a line to the task's goal; the start is drawn anew in each episode."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-20, 20, (1,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.goal = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if options:
            self.goal = options["task"]
        self.place = int(self.np_random.integers(-2, 3))
        self.elapsed = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place += 2 * int(action) - 1
        self.elapsed += 1
        found, late = self.place == self.goal, self.elapsed == 5
        info = {"rl2": {"success": found}} if found or late else {}
        return self._observation(), float(found), found, late, info

    def _observation(self) -> NDArray[np.float32]:
        return np.array([self.place], np.float32)


class GoalTasks(GymTasks):
    """:class:`GoalEnv` with its goal within ``width`` of 0."""

    def __init__(self, width: int = 5):
        self.width = width

    def sample(self, rng: np.random.Generator) -> int:
        return int(rng.integers(-self.width, self.width + 1))

    def make_env(self) -> GoalEnv:
        return GoalEnv()


class FragileEnv(GoalEnv):
    """:class:`GoalEnv` whose simulator dies in its ``dies``-th step; there is another at once."""

    def __init__(self, dies: int) -> None:
        super().__init__()
        self.dies = dies
        self.steps = 0

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.steps == self.dies:
            return self._observation(), 0.0, False, True, {"rl2": {"lost": True}}
        return super().step(action)


class ListedGoals(GymTasks):
    """Six goals; those of evaluation are the negative ones."""

    def __init__(self, sign: int = 1, dies: int = 0):
        if abs(sign) != 1:
            raise ValueError(f"sign={sign}: 1 or -1.")
        self.sign = sign
        self.dies = dies

    def sample(self, rng: np.random.Generator) -> int:
        return int(rng.choice(self.all_tasks()))

    def all_tasks(self) -> list[int]:
        return [self.sign * goal for goal in range(6)]

    def held_out(self) -> GymTasks:
        return ListedGoals(-self.sign, self.dies)

    def make_env(self) -> FragileEnv:
        return FragileEnv(self.dies)


class Slopes(NamedTuple):
    """Tasks: ``gain`` is what a step to the right is worth; the other parameter is its noise."""

    gain: NDArray[np.float64]
    noise: NDArray[np.float64]


class Walk(NamedTuple):
    """The states of episodes."""

    place: NDArray[np.int64]
    left: NDArray[np.int64]


class RaggedTasks(BatchedTasks[Slopes, Walk]):
    """Episodes of one to four steps, Dict observations, NamedTuples: all that may be ragged."""

    def __init__(self) -> None:
        place = spaces.Box(-50, 50, (1,), np.float32)
        self.observation_space = spaces.Dict({"place": place, "left": spaces.Discrete(5)})
        self.action_space = spaces.Discrete(3)

    def sample(self, n: int, rng: np.random.Generator) -> Slopes:
        return Slopes(rng.normal(size=n), rng.uniform(0.1, 1, n))

    def reset(self, params: Slopes, rng: np.random.Generator) -> tuple[Walk, Any]:
        n = len(params.gain)
        state = Walk(rng.integers(-2, 3, n), rng.integers(1, 5, n))
        return state, self._observation(state)

    def step(
        self, params: Slopes, state: Walk, action: NDArray[Any], rng: np.random.Generator
    ) -> tuple[Walk, Any, NDArray[np.float64], NDArray[np.bool_]]:
        noise = params.noise * rng.normal(size=len(action))
        state = Walk(state.place + action - 1, state.left - 1)
        reward = params.gain * (action - 1) + noise
        return state, self._observation(state), reward, state.left == 0

    @staticmethod
    def _observation(state: Walk) -> dict[str, NDArray[Any]]:
        return {"place": state.place[:, None].astype(np.float32), "left": state.left}
