"""``rl2 watch``: a trial of an agent in pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch as th
import tyro
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rl2_sb3.agent import Agent, load_agent
from rl2_sb3.cli.entries import evaluation_tasks, played_folder, trained_on
from rl2_sb3.cli.film import MODE, Film, FilmedEnv, FilmedTasks
from rl2_sb3.config import Count, CountOrNone, Seed
from rl2_sb3.ranges import check_config
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.trials.batched import BatchedTrials
from rl2_sb3.trials.play import play
from rl2_sb3.trials.wrapper import TrialWrapper

PATIENCE = 5.0
"""Seconds after which it says how far it is: some simulators draw slowly."""


@dataclass(kw_only=True)
class Watch:
    """Play one trial of an agent and write it as an animated GIF, or as a sheet of pictures.

    Shown are the frames that the environment renders (`render_mode="rgb_array"`; tasks as arrays
    have a method `render`) or, where it draws none, observation, action and reward in words. The
    line above each frame has the number of the episode and its return so far.
    """

    agent: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="AGENT")]
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
    """File to write: a .gif, or a .png with a row of pictures for each episode; by default
    watch.gif in the run's folder, or in runs/agents/NAME for an installed agent."""


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
    if out.suffix not in (".gif", ".png"):
        raise ValueError(f"--out {out}: write a .gif, the animation, or a .png, some pictures.")
    episodes = info["episodes"] if config.episodes is None else config.episodes
    if episodes < 1:
        raise ValueError(f"episodes={episodes}: at least one.")
    film = Film(config.width)
    trials = _filmed(film, tasks, episodes, config.trial)
    try:
        _play(agent, trials, film, config)
    finally:
        trials.close()
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".gif":
        film.write_gif(out, config.fps)
    else:
        film.write_sheet(out)
    print(f"{out}: {episodes} episodes, {len(film.pictures) - episodes} steps.")


def _filmed(film: Film, tasks: Any, episodes: int, number: int) -> VecEnv:
    """A trial that is filmed.

    :raises ValueError: no trial of that number
    """
    if isinstance(tasks, BatchedTasks):
        return BatchedTrials(FilmedTasks(tasks, film), 1, episodes)
    order = None
    if isinstance(tasks, GymTasks):
        env, listed = tasks.make_env(), tasks.all_tasks()
        if listed is not None and number >= len(listed):
            raise ValueError(f"trial={number}: there are tasks 0 to {len(listed) - 1}.")
        order = None if listed is None else [listed[number]]
    else:
        env = tasks()
        if MODE in env.metadata.get("render_modes", ()):
            env.close()
            env = tasks(render_mode=MODE)
    distribution = tasks if isinstance(tasks, GymTasks) else None
    trial = TrialWrapper(FilmedEnv(env, film), episodes, distribution, order)
    return DummyVecEnv([lambda: trial])


def _play(agent: Agent, trials: VecEnv, film: Film, config: Watch) -> None:
    """Play a trial, filmed."""
    trials.seed(int(np.random.SeedSequence([config.seed, config.trial]).generate_state(1)[0]))
    with th.random.fork_rng():
        th.manual_seed(config.seed)
        said = time.monotonic()
        for step in play(agent, trials, n_trials=1, deterministic=config.deterministic):
            if time.monotonic() - said > PATIENCE:
                said = time.monotonic()
                print(f"Episode {step.episode[0] + 1}, {len(film.pictures)} pictures so far.")
            if step.came.lost[0]:
                film.begin_again()
    del film.pictures[-1]  # the next trial's
