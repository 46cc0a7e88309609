"""One maze at a time as a Gymnasium environment."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from math import cos, radians, sin
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_vizdoom.engine import Engine, EngineLostError
from rl2_vizdoom.field import REACH, Guide, guide
from rl2_vizdoom.mazes import Maze
from rl2_vizdoom.picture import draw
from rl2_vizdoom.wad import centre

TURN_LEFT, TURN_RIGHT, FORWARD = range(3)
LIVING, CONTACT, FOUND = -0.01, -0.001, 1.0
"""Rewards: of a tic, of a step that a wall cuts short, and of the goal."""
THRUST, FRICTION = 0.78125, 0.90625
"""The engine's own movement: velocity won in a tic, and what is left of it after a tic."""
GUIDANCE = 2 * -LIVING
"""What an estimated tic nearer to the goal is worth; plans take almost twice the estimate."""
WAYS = 10
"""Episodes of which the ways are kept, to be drawn."""
EXACT_MOVE = 4.8
"""Units a tic in exact movement."""

logger = logging.getLogger(__name__)

Image = NDArray[np.uint8]


class MazeEnv(gym.Env[Image, Any]):
    """A maze, given by ``reset(options={"task": index})``, seen by the player in it.

    Without a task, the environment keeps the maze that it has; it begins with one that it draws.
    Observations are RGB images ``(30, 40, 3)``; actions turn left, turn right and move forward.
    An episode terminates at the goal and is truncated at the horizon.

    Where a reset's ``options["privileged"]`` is true, ``info["rl2"]`` has a ``training_reward``,
    to learn from in the reward's place: the way won or lost in the step counts too, at what the
    time is worth that it takes; the estimate is :class:`rl2_vizdoom.field.Guide`'s. It is shaped by
    a potential (Ng et al. 1999), but without discount, and who fails near the goal keeps what he
    has won. Its ``privileged_observation`` is then what only the simulator knows, in resets too:
    :meth:`rl2_vizdoom.field.Guide.told`.

    ``info`` holds ``position`` (x to the east and y to the north in units, angle in degrees
    counterclockwise from the east) and ``length``, the episode's steps so far; with the episode's
    end, ``is_success``. Where the engine's process dies, the episode is truncated with the last
    observation and ``info["rl2"]["lost"]``: trials begin anew then, and the next reset goes on with
    another engine. :meth:`render` shows the view beside the maze's plan.

    :param mazes: what the tasks number
    :param horizon: steps of an episode at most
    :param exact: moves of fixed length and turns of fixed angle, without inertia
    :param frame_skip: tics that an action lasts
    :raises ValueError: at a reset, with a task that is no maze's number
    :raises RuntimeError: at a reset, if ViZDoom does not start
    """

    def __init__(
        self, mazes: Sequence[Maze], horizon: int = 250, exact: bool = False, frame_skip: int = 4
    ):
        self.observation_space = spaces.Box(0, 255, (30, 40, 3), np.uint8)
        self.action_space = spaces.Discrete(3)
        self.render_mode = "rgb_array"
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 9}
        self.mazes = mazes
        self.horizon = horizon
        self._engine = Engine(mazes, exact, frame_skip)
        self._coast, self._push = free_movement(exact, frame_skip)
        self._living = LIVING * frame_skip
        self._task: int | None = None
        self._guide: Guide | None = None  # where somebody asked for what it knows
        self._ways: deque[list[tuple[float, float]]] = deque(maxlen=WAYS)
        self._playing = False

    @property
    def maze(self) -> Maze:
        """The maze that is played, or was last."""
        if self._task is None:
            raise gym.error.ResetNeeded("There is no maze before the first reset().")
        return self.mazes[self._task]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Image, dict[str, Any]]:
        """Begin an episode at the maze's start, facing east."""
        super().reset(seed=seed)
        task = self._task if options is None else options.get("task", self._task)
        if task is None:
            task = int(self.np_random.integers(len(self.mazes)))
        if not 0 <= task < len(self.mazes):
            raise ValueError(
                f"task={task!r}: use the number of a maze, 0 to {len(self.mazes) - 1}."
            )
        try:
            screen, self._place = self._engine.play(task)
        except EngineLostError as lost:  # between two episodes, so nothing is lost with it
            logger.warning("%s Another one is started.", lost)
            screen, self._place = self._engine.play(task)
        if task != self._task:
            self._ways.clear()
        self._ways.append([(self._place[0], self._place[1])])
        self._task, self._length, self._playing = task, 0, True
        self._goal = centre(self.mazes[task].goal)
        self._observation = reduce(screen)
        info: dict[str, Any] = {"position": tuple(self._place[:3]), "length": 0}
        self._guide = None
        if options is not None and options.get("privileged"):
            self._guide = guide(self.mazes[task])
            self._tics_left = self._guide.tics_left(*self._place)
            info["rl2"] = {"privileged_observation": self._guide.told(*self._place)}
        return self._observation, info

    def step(self, action: Any) -> tuple[Image, float, bool, bool, dict[str, Any]]:
        if not self._playing:
            raise gym.error.ResetNeeded("Call reset() before step(), and after an episode's end.")
        self._length += 1
        before = self._place
        try:
            screen, self._place = self._engine.act(action)
        except EngineLostError as lost:
            logger.warning("%s This episode ends; the next one gets another engine.", lost)
            self._playing = False
            lost_info = {"rl2": {"lost": True}, "length": self._length}
            return self._observation, 0.0, False, True, lost_info
        x, y, angle, _, _ = self._place
        self._ways[-1].append((x, y))
        found = self._touches_goal(x, y)
        reward = self._living
        if found:
            reward += FOUND
        elif self._was_stopped(before, x, y, self._push if action == FORWARD else 0.0):
            reward += CONTACT
        late = self._length == self.horizon and not found
        info: dict[str, Any] = {"position": (x, y, angle), "length": self._length}
        if self._guide is not None:
            left = 0.0 if found else self._guide.tics_left(*self._place)
            info["rl2"] = {
                "training_reward": reward + GUIDANCE * (self._tics_left - left),
                "privileged_observation": self._guide.told(*self._place),
            }
            self._tics_left = left
        if found or late:
            info["is_success"] = found
            self._playing = False
        self._observation = reduce(screen)
        return self._observation, reward, found, late, info

    @property
    def ways(self) -> list[list[tuple[float, float]]]:
        """Where the player was in the last episodes in this maze, x and y in units."""
        return list(self._ways)

    def render(self) -> Image:
        """The player's view beside the plan, with the last ways gone in this maze."""
        maze = self.maze
        return draw(self._observation, maze, self.ways, self._place[2])

    def close(self) -> None:
        """End the engine; a reset starts another."""
        self._playing = False
        self._engine.close()

    def _touches_goal(self, x: float, y: float) -> bool:
        return abs(x - self._goal[0]) < REACH and abs(y - self._goal[1]) < REACH

    def _was_stopped(self, before: list[float], x: float, y: float, push: float) -> bool:
        """Whether the player is elsewhere than the same movement would lead to in the open."""
        x_before, y_before, angle, x_speed, y_speed = before
        x_free = x_before + self._coast * x_speed
        y_free = y_before + self._coast * y_speed
        if push:
            x_free += push * cos(radians(angle))
            y_free += push * sin(radians(angle))
        return abs(x - x_free) + abs(y - y_free) > 0.5  # units; rounding stays far below


def free_movement(exact: bool, tics: int) -> tuple[float, float]:
    """The movement of a step in the open.

    :return: way won from each unit/tic of velocity before the step, and from moving forward, units
    """
    if exact:
        return 0.0, EXACT_MOVE * tics
    coast = push = velocity = 0.0
    for tic in range(tics):
        coast += FRICTION**tic
        velocity += THRUST
        push += velocity
        velocity *= FRICTION
    return coast, push


def reduce(screen: Image) -> Image:
    """The observation: 160x120 to 40x30, by means of areas; two steps are faster than one."""
    half = cv2.resize(screen, (80, 60), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(half, (40, 30), interpolation=cv2.INTER_AREA), np.uint8)
