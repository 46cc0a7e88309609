"""Corridors with an exit at one end: a task distribution as arrays, axis 0 the task."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3 import BatchedTasks

Array = NDArray[Any]
COST = 0.1
"""Of a step."""


class Walk(NamedTuple):
    """What is going on in the episodes; each array is ``(n,)``."""

    place: Array
    elapsed: Array


@dataclass
class MyTasks(BatchedTasks[Array, Walk]):
    """Corridors whose exit is at the left or the right end; it pays 1, and a step costs 0.1.

    An episode begins in the middle, and ends at the exit or after ``2 * length`` steps. The task is
    the exit's place, which the agent does not see.
    """

    length: int = 7
    """Cells of the corridor."""

    def __post_init__(self) -> None:
        if self.length < 3:
            raise ValueError(f"length={self.length}: at least 3.")
        self.observation_space: spaces.Space[Any] = spaces.Discrete(self.length)
        self.action_space: spaces.Space[Any] = spaces.Discrete(2)  # left and right
        self.horizon = None  # episodes differ in length

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw the exits of ``n`` corridors, ``(n,)``."""
        return rng.choice([0, self.length - 1], n)

    def reset(self, params: Array, rng: np.random.Generator) -> tuple[Walk, Array]:
        """Begin in the middle; the observation is the place."""
        place = np.full(len(params), self.length // 2)
        return Walk(place, np.zeros(len(params), np.int64)), place

    def step(
        self, params: Array, state: Walk, action: Array, rng: np.random.Generator
    ) -> tuple[Walk, Array, Array, Array]:
        """Walk: state, observation, reward, and whether the episode ended."""
        place = np.clip(state.place + 2 * action - 1, 0, self.length - 1)
        state = Walk(place, state.elapsed + 1)
        out = place == params
        return state, place, out - COST, out | (state.elapsed == 2 * self.length)

    # What follows may be left out.

    def metrics(self, params: Array, state: Walk) -> dict[str, Array]:
        """What to report of an episode that ended, in the log and by `rl2 evaluate`."""
        return {"success": state.place == params, "steps": state.elapsed}

    def optimal_return(self, params: Array) -> Array:
        """The return of who knows the exit."""
        steps: Array = np.abs(params - self.length // 2)
        return 1 - COST * steps

    def render(self, params: Array, state: Walk) -> NDArray[np.uint8]:
        """The first corridor, a pixel for each cell: the exit is green, the agent blue."""
        picture = np.full((1, self.length, 3), 230, np.uint8)
        picture[0, params[0]] = 60, 180, 75
        picture[0, state.place[0]] = 0, 90, 200
        return picture
