"""A point in the plane that looks for a goal, as arrays: the quickest of these tasks to learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3 import BatchedTasks

Floats = NDArray[np.float64]
STRIDE = 0.1
"""Largest way along an axis in one step; goals are at distance 1."""
SEEN, SIDE, POINT, GREEN = 1.5, 240, 0.04, (120, 200, 120)
"""Of pictures: the plane to either side, pixels, the point's radius, the goal's colour."""
Circle = Literal["half", "whole"]
Reward = Literal["sparse", "dense"]
ANGLES: dict[str, float] = {"half": np.pi, "whole": 2 * np.pi}


class Walk(NamedTuple):
    """The episodes' states."""

    place: Floats  # (n, 2)
    steps: NDArray[np.int64]  # (n,)


@dataclass
class PointGoal(BatchedTasks[Floats, Walk]):
    """Find a goal that is not observed, on a circle of radius 1 around the start, and stay there.

    The sparse reward is 1 minus the distance within ``radius`` of the goal, else 0 (Rakelly et al.
    2019; Zintgraf et al. 2020): the first episode of a trial has to search, the later ones need
    not. The dense reward is minus the distance. An action moves the point by up to .1 along each
    axis; the observation is its place.
    """

    reward: Reward = "sparse"
    """What is paid: within the radius alone, or minus the distance everywhere."""
    circle: Circle = "half"
    """Where goals are: the upper half of the circle, or the whole."""
    radius: float = 0.2
    """Largest distance that the sparse reward pays for."""
    horizon: int = 60
    """Steps of an episode."""

    def __post_init__(self) -> None:
        for name, known in (("reward", get_args(Reward)), ("circle", get_args(Circle))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r}: use one of {', '.join(known)}.")
        if not 0 < self.radius <= 1:
            raise ValueError(f"radius={self.radius!r}: above 0, and at most 1.")
        if self.horizon < 1:
            raise ValueError(f"horizon={self.horizon!r}: at least 1.")
        farthest = STRIDE * self.horizon
        self.observation_space: spaces.Space[Any] = spaces.Box(-farthest, farthest, (2,))
        self.action_space: spaces.Space[Any] = spaces.Box(-1, 1, (2,))

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw the goals, ``(n, 2)``, uniform on the circle."""
        angle = rng.uniform(0, ANGLES[self.circle], n)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def reset(self, params: Floats, rng: np.random.Generator) -> tuple[Walk, NDArray[np.float32]]:
        """Begin in the middle."""
        n = len(params)
        return Walk(np.zeros((n, 2)), np.zeros(n, np.int64)), np.zeros((n, 2), np.float32)

    def step(
        self, params: Floats, state: Walk, action: NDArray[Any], rng: np.random.Generator
    ) -> tuple[Walk, NDArray[np.float32], Floats, NDArray[np.bool_]]:
        """Move by a tenth of the action; the reward is that of the place moved to."""
        place = state.place + STRIDE * np.clip(action, -1, 1)
        after = Walk(place, state.steps + 1)
        return (
            after,
            place.astype(np.float32),
            self._pay(place, params),
            after.steps >= self.horizon,
        )

    def optimal_return(self, params: Floats) -> Floats:
        """That of going straight to the goal, each axis at its full stride until it is there.

        No place that can be reached in as many steps is nearer to the goal, at any step.
        """
        reach = STRIDE * np.arange(1, self.horizon + 1)[:, None, None]
        return np.asarray(self._pay(np.clip(params, -reach, reach), params).sum(axis=0))

    def render(self, params: Floats, state: Walk) -> NDArray[np.uint8]:
        """The first point, in black, on the circle around its goal; RGB ``(240, 240, 3)``."""
        along = np.linspace(-SEEN, SEEN, SIDE)
        pixels = np.stack(np.meshgrid(along, -along), axis=-1)
        picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
        picture[np.abs(np.linalg.norm(pixels, axis=-1) - 1) < 2 * SEEN / SIDE] = 200
        picture[np.linalg.norm(pixels - params[0], axis=-1) <= self.radius] = GREEN
        picture[np.linalg.norm(pixels - state.place[0], axis=-1) <= POINT] = 0
        return picture

    def _pay(self, place: Floats, goal: Floats) -> Floats:
        distance = np.linalg.norm(place - goal, axis=-1)
        if self.reward == "dense":
            return np.asarray(-distance)
        return np.where(distance <= self.radius, 1 - distance, 0.0)
