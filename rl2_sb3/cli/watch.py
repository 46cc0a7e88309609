"""``rl2 watch``: a trial of an agent as an animation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
import torch as th
import tyro
from PIL import Image, ImageDraw
from stable_baselines3.common.vec_env import DummyVecEnv

from rl2_sb3.agent import Agent, load_agent
from rl2_sb3.cli.entries import evaluation_tasks, played_folder, trained_on
from rl2_sb3.config import Count, CountOrNone, Seed
from rl2_sb3.ranges import check_config
from rl2_sb3.tasks.base import GymTasks
from rl2_sb3.trials.play import play
from rl2_sb3.trials.wrapper import TrialWrapper

HOLD = 1000
"""Milliseconds that an episode's last picture stays."""
MARGIN = 16
"""Height of the line above the picture, in pixels."""


class Film(gym.Wrapper[Any, Any, Any, Any]):
    """Keeps a picture of each state of an environment, with the episode and its return so far."""

    def __init__(self, env: gym.Env[Any, Any], width: int):
        super().__init__(env)
        self.width = width
        self.pictures: list[Image.Image] = []
        self.ends: list[int] = []
        """Numbers of the pictures that are their episode's last."""

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, and draw."""
        observation, info = self.env.reset(**options)
        self._sum = 0.0
        self._draw()
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and draw."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._sum += float(reward)
        self._draw()
        if terminated or truncated:
            self.ends.append(len(self.pictures) - 1)
        return observation, reward, terminated, truncated, info

    def _draw(self) -> None:
        picture = Image.fromarray(np.asarray(self.env.render(), np.uint8))
        factor = -(-self.width // picture.width)
        picture = picture.resize(
            (factor * picture.width, factor * picture.height), Image.Resampling.NEAREST
        )
        framed = Image.new("RGB", (picture.width, picture.height + MARGIN), "white")
        framed.paste(picture, (0, MARGIN))
        words = f"episode {len(self.ends) + 1}   return {self._sum:.2f}"
        ImageDraw.Draw(framed).text((4, 2), words, fill="black")
        self.pictures.append(framed.quantize())  # each with its own 256 colours


@dataclass(kw_only=True)
class Watch:
    """Play one trial of an agent and write it as an animated GIF.

    The environment must render frames (`render_mode="rgb_array"`). The line above each frame has
    the number of the episode and its return so far.
    """

    agent: Annotated[str, tyro.conf.Positional]
    """A run's folder, an agent's file, or an installed agent's name."""
    trial: CountOrNone = 0
    """Number of the trial; where the tasks are a list, that of the task."""
    episodes: Count | None = None
    """Episodes of the trial; by default as many as the agent was trained for."""
    options: list[str] = field(default_factory=list)
    """The task's options, as in `rl2 evaluate`."""
    seed: Seed = 0
    """Seed of tasks and actions."""
    deterministic: bool = False
    """Take the most likely action instead of sampling."""
    fps: Count = 10
    """Frames per second; a frame is a step."""
    width: Count = 480
    """Least width of the frames in pixels; they are enlarged by whole factors."""
    out: Path | None = None
    """File to write; by default watch.gif in the run's folder, or in runs/agents/NAME for an
    installed agent."""


def watch(args: Sequence[str]) -> None:
    """Parse the options, play and write."""
    config = tyro.cli(Watch, args=list(args), prog="rl2 watch")
    check_config(config)
    if min(config.fps, config.width) < 1 or config.trial < 0:
        raise ValueError(
            f"fps={config.fps}, width={config.width}, trial={config.trial}: at least 1, 1 and 0."
        )
    agent = load_agent(config.agent)
    info = trained_on(agent, config.agent)
    tasks, _ = evaluation_tasks(info, config.options)
    out = config.out or played_folder(config.agent) / "watch.gif"
    if out.suffix != ".gif":
        raise ValueError(f"--out {out}: the animation is a .gif.")
    episodes = info["episodes"] if config.episodes is None else config.episodes
    if episodes < 1:
        raise ValueError(f"episodes={episodes}: at least one.")
    film = _play(agent, tasks, info["task"], episodes, config)
    out.parent.mkdir(parents=True, exist_ok=True)
    first, *others = film.pictures
    durations = [1000 // config.fps] * len(film.pictures)
    for end in film.ends:
        durations[end] += HOLD
    first.save(out, save_all=True, append_images=others, duration=durations, loop=0)
    print(f"{out}: {episodes} episodes, {len(film.pictures) - episodes} steps.")


def _play(agent: Agent, tasks: Any, name: str, episodes: int, config: Watch) -> Film:
    """Play a trial, and film it."""
    order = None
    if isinstance(tasks, GymTasks):
        env, listed = tasks.make_env(), tasks.all_tasks()
        if listed is not None and config.trial >= len(listed):
            raise ValueError(f"trial={config.trial}: there are tasks 0 to {len(listed) - 1}.")
        order = None if listed is None else [listed[config.trial]]
    elif callable(tasks):
        env = tasks(render_mode="rgb_array")
    else:
        raise ValueError(f"{name} is played as arrays: there is nothing to see.")
    try:
        if env.render_mode != "rgb_array":
            raise ValueError(f"{name} draws no pictures: its render_mode is {env.render_mode!r}.")
        film = Film(env, config.width)
        trial = TrialWrapper(film, episodes, tasks if isinstance(tasks, GymTasks) else None, order)
        trials = DummyVecEnv([lambda: trial])
        trials.seed(int(np.random.SeedSequence([config.seed, config.trial]).generate_state(1)[0]))
        with th.random.fork_rng():
            th.manual_seed(config.seed)
            for step in play(agent, trials, n_trials=1, deterministic=config.deterministic):
                if step.came.lost[0]:  # it is played again: its first state is drawn already
                    del film.pictures[:-1], film.ends[:]
        del film.pictures[-1]  # the next trial's
    finally:
        env.close()
    return film
