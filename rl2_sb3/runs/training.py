"""A training run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3 import ranks
from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.config import FolderConfig, TrainConfig, TRPOConfig
from rl2_sb3.plots import learning_curve
from rl2_sb3.runs.folder import settings_before
from rl2_sb3.runs.run import Model, load_or_make, run
from rl2_sb3.tracking.callback import Play
from rl2_sb3.trials.make import make_tasks, make_trials, share_columns

ALGORITHMS: dict[str, type[Model]] = {"ppo": RL2PPO, "trpo": RL2TRPO}


def train(config: TrainConfig, options: dict[str, Any], folder: FolderConfig) -> Path:
    """Train in a folder, or go on there.

    :param options: of the task distribution
    :return: the agent's file
    :raises ValueError: a folder in use, another run's checkpoint, settings that make no run
    """
    if folder.resume:
        config = replace(config, decay_steps=_decay_steps(config, folder.out))
        _remark_decayed(config, folder.out)
    return run(Training, config, options, folder)


def _decay_steps(config: TrainConfig, out: Path) -> int | None:
    """Steps over which schedules run: a run that goes on for longer keeps those it began with.

    :raises ValueError: settings of a run that cannot be read
    """
    before = settings_before(out)
    if config.decay_steps is not None or before is None:
        return config.decay_steps
    steps: int | None = before.get("decay_steps") or before.get("steps")
    return None if steps == config.steps else steps


class Training:
    """Learns by reinforcement, to a number of steps in all."""

    job = "train"
    play: Play | None = None

    def __init__(self, config: TrainConfig, options: dict[str, Any], checkpoint: Path | None):
        self.total = config.steps
        learning = vars(config.learning)
        if config.algorithm == "trpo":
            learning = learning | vars(config.trpo)
        else:
            _check_ppo(config.trpo)
        trials = make_trials(
            config.task,
            share_columns(config.task, _columns(config, options), **options),
            config.episodes,
            workers=config.workers,
            privileged=config.privileged,
            **options,
        )
        if config.policy == "GRUPolicy":
            _remark_images(trials)
        self.model = load_or_make(
            ALGORITHMS[config.algorithm], trials, config, checkpoint, **learning
        )
        self.model.decay_steps = config.decay_steps

    def reached(self) -> str:
        """The mean return of recent trials."""
        returns = [trial["r"] for trial in self.model.ep_info_buffer or ()]
        if not returns:
            return "no trial is over"
        return f"mean return of the last {len(returns)} trials {np.mean(returns):.3f}"

    def learn(self, callback: list[BaseCallback], progress_bar: bool) -> None:
        """Train for the steps that are left."""
        done = self.model.num_timesteps
        if done < self.total:
            _remark_rollout(self.model, self.total)
            self.model.learn(
                self.total - done,
                callback=callback,
                reset_num_timesteps=done == 0,
                progress_bar=progress_bar,
            )

    def draw(self, out: Path) -> str:
        """Draw the mean return of recent trials."""
        return str(learning_curve([out], out / "learning_curve.png"))


def _check_ppo(trpo: TRPOConfig) -> None:
    """Refuse options of TRPO's own for PPO, which would have no effect.

    :raises ValueError: one that is not the default
    """
    for name, default in vars(TRPOConfig()).items():
        value = getattr(trpo, name)
        if value != default:
            raise ValueError(
                f"{name}={value} is of algorithm='trpo': name it, or leave {name} out."
            )


def _columns(config: TrainConfig, options: dict[str, Any]) -> int | None:
    """Trials that run at once, on all ranks together, if that is said.

    :raises ValueError: steps of a rollout, where trials differ in length
    """
    if config.steps_per_rollout is None or config.n_envs is not None:
        return config.n_envs
    horizon: int | None = getattr(make_tasks(config.task, **options), "horizon", None)
    if horizon is None:
        raise ValueError(f"The trials of {config.task} differ in length: give n_envs and n_steps.")
    columns = config.steps_per_rollout // (horizon * config.episodes)
    return max(1, columns // ranks.size()) * ranks.size()


def _remark_decayed(config: TrainConfig, out: Path) -> None:
    steps = config.decay_steps
    if steps is not None and steps < config.steps and config.learning.lr_decay and ranks.is_first():
        print(
            f"Note: this run's learning rate decays over {steps:,} steps and stays at a hundredth "
            f"after them. To learn at the full rate, train in another folder: --init {out}.",
            file=sys.stderr,
        )


def _remark_rollout(model: Model, total: int) -> None:
    """Tell where whole rollouts are a tenth more steps than were asked for, or more."""
    columns = model.n_envs * ranks.size()
    rollout = model.n_steps * columns
    taken = model.num_timesteps - (model.num_timesteps - total) // rollout * rollout
    if taken >= 1.1 * total and ranks.is_first():
        print(
            f"Note: a rollout is {rollout:,} steps, {model.n_steps} of {columns} trials at once: "
            f"{taken:,} are taken in place of {total:,}. A smaller --n-envs makes it smaller.",
            file=sys.stderr,
        )


def _remark_images(trials: VecEnv) -> None:
    spaces: Any = trials.observation_space
    images = [key for key, part in spaces.items() if is_image_space(part)]
    if images and ranks.is_first():
        print(
            f"Note: GRUPolicy flattens images ({', '.join(images)}); CnnGRUPolicy has convolutions "
            "(--policy CnnGRUPolicy).",
            file=sys.stderr,
        )
