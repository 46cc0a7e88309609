"""Pictures of a trial, one of each state, for ``rl2 watch``."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rl2_sb3.tasks.base import BatchedTasks, take

HOLD = 1000
"""Milliseconds that an episode's last picture stays."""
MARGIN = 16
"""Height of the line above the picture, in pixels."""
ACROSS = 8
"""Pictures of an episode, at most, that a sheet has."""
MODE = "rgb_array"
"""Gymnasium's name for pictures as arrays."""
GAP = 8
"""White pixels between two pictures of a sheet."""
LINE, LETTERS = 14, 64
"""Height in pixels, and length at most, of a line of a picture in words."""


def in_words(observation: Any, action: Any = None, reward: float | None = None) -> Image.Image:
    """A picture of a state that draws none: what is observed, and what led there.

    :param observation: an array or number, or a dict or tuple of them
    """
    lines = [*_lines("observation", observation), *_lines("action", action)]
    lines.append(f"reward: {'' if reward is None else f'{reward:.2f}'}")
    picture = Image.new("RGB", (6 * LETTERS + 8, LINE * len(lines) + 4), "white")
    for number, line in enumerate(lines):
        words = textwrap.shorten(line, LETTERS, placeholder=" ...")  # no number is cut
        ImageDraw.Draw(picture).text((4, LINE * number), words, fill="black")
    return picture


def _lines(name: str, value: Any) -> list[str]:
    if isinstance(value, tuple):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return [line for key, part in value.items() for line in _lines(f"{name}.{key}", part)]
    numbers = "" if value is None else np.array2string(np.asarray(value), precision=2, threshold=20)
    return [f"{name}: {numbers}"]


class Film:
    """The pictures, each with the episode and its return so far.

    :param width: least width in pixels: small pictures are enlarged by whole factors
    """

    def __init__(self, width: int):
        self.width = width
        self.pictures: list[Image.Image] = []
        self.ends: list[int] = []
        """Numbers of the pictures that are their episode's last."""
        self._sum = 0.0

    def begin(self, picture: Any) -> None:
        """An episode's first state."""
        self._sum = 0.0
        self._add(picture)

    def go_on(self, picture: Any, reward: float, ended: bool) -> None:
        """The state after a step."""
        self._sum += reward
        self._add(picture)
        if ended:
            self.ends.append(len(self.pictures) - 1)

    def begin_again(self) -> None:
        """The trial was lost, and the first state of its next beginning is here already."""
        del self.pictures[:-1], self.ends[:]

    def write_gif(self, path: Path, fps: int) -> None:
        """Write the pictures as an animation."""
        first, *others = (picture.quantize() for picture in self.pictures)  # each its 256 colours
        durations = [1000 // fps] * len(self.pictures)
        for end in self.ends:
            durations[end] += HOLD
        first.save(path, save_all=True, append_images=others, duration=durations, loop=0)

    def write_sheet(self, path: Path) -> None:
        """Write a sheet with a row for each episode: some of its pictures, the first and last."""
        begins = [0, *(end + 1 for end in self.ends[:-1])]
        rows = [
            np.unique(np.linspace(begin, end, ACROSS).round().astype(int))
            for begin, end in zip(begins, self.ends, strict=True)
        ]
        width, height = (side + GAP for side in self.pictures[0].size)
        size = max(map(len, rows)) * width - GAP, len(rows) * height - GAP
        sheet = Image.new("RGB", size, "white")
        for y, row in enumerate(rows):
            for x, number in enumerate(row):
                sheet.paste(self.pictures[number], (x * width, y * height))
        sheet.save(path)

    def _add(self, picture: Any) -> None:
        image = Image.fromarray(np.asarray(picture, np.uint8))
        factor = -(-self.width // image.width)
        size = factor * image.width, factor * image.height
        framed = Image.new("RGB", (size[0], size[1] + MARGIN), "white")
        framed.paste(image.resize(size, Image.Resampling.NEAREST), (0, MARGIN))
        words = f"episode {len(self.ends) + 1}   return {self._sum:.2f}"
        ImageDraw.Draw(framed).text((4, 2), words, fill="black")
        self.pictures.append(framed)


class FilmedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """An environment, filmed: what it renders or, where it draws no pictures, what it says."""

    def __init__(self, env: gym.Env[Any, Any], film: Film):
        super().__init__(env)
        self.film = film

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, and film."""
        observation, info = self.env.reset(**options)
        self.film.begin(self._picture(observation))
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and film."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        picture = self._picture(observation, action, float(reward))
        self.film.go_on(picture, float(reward), terminated or truncated)
        return observation, reward, terminated, truncated, info

    def _picture(self, *seen: Any) -> Any:
        drawn: Any = self.env.render() if self.env.render_mode == MODE else None
        return in_words(*seen) if drawn is None else drawn


class FilmedTasks(BatchedTasks[Any, Any]):
    """Tasks as arrays, the first of them filmed, as environments are."""

    def __init__(self, tasks: BatchedTasks[Any, Any], film: Film):
        self.tasks, self.film, self.horizon = tasks, film, tasks.horizon
        self.observation_space, self.action_space = tasks.observation_space, tasks.action_space

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        """Draw tasks."""
        return self.tasks.sample(n, rng)

    def reset(self, params: Any, rng: np.random.Generator) -> Any:
        """Begin episodes, and film."""
        state, observation = self.tasks.reset(params, rng)
        self.film.begin(self._picture(params, state, observation))
        return state, observation

    def step(self, params: Any, state: Any, action: NDArray[Any], rng: np.random.Generator) -> Any:
        """Step, and film."""
        state, observation, reward, ended = self.tasks.step(params, state, action, rng)
        paid = float(reward[0])
        picture = self._picture(params, state, observation, action[0], paid)
        self.film.go_on(picture, paid, bool(ended[0]))
        return state, observation, reward, ended

    def _picture(self, params: Any, state: Any, observation: Any, *led: Any) -> Any:
        drawn = self.tasks.render(params, state)
        first: Any = take(observation, np.array([0]))
        return in_words(first, *led) if drawn is None else drawn
