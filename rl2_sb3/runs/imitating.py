"""A run of imitation."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from rl2_sb3 import ranks
from rl2_sb3.agent import load_agent
from rl2_sb3.algorithms import RL2PPO
from rl2_sb3.algorithms.imitation import Imitation, batches_of_a_round
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.config import FolderConfig, ImitationRunConfig
from rl2_sb3.evaluation import evaluate_trials
from rl2_sb3.plots import imitation_curve
from rl2_sb3.plots.logs import KL, read_progress
from rl2_sb3.runs.run import load_or_make, run
from rl2_sb3.trials.make import make_tasks, make_trials

PLAYED = 200
"""Trials behind an adaptation curve of the student."""


def imitate(config: ImitationRunConfig, options: dict[str, Any], folder: FolderConfig) -> Path:
    """Imitate a baseline in a folder, or go on there.

    :param options: of the task distribution
    :return: the agent's file
    :raises ValueError: a folder in use, another run's checkpoint, settings that make no run
    """
    return run(Imitating, config, options, folder)


class Imitating:
    """Learns a baseline's choices, to a number of minibatches in all."""

    job = "imitate"

    def __init__(
        self, config: ImitationRunConfig, options: dict[str, Any], checkpoint: Path | None
    ):
        learning, self.teacher = config.learning, config.teacher
        tasks = make_tasks(config.task, **options)
        teacher: Any = make_baseline(config.teacher, tasks, config.episodes)
        columns = learning.trials_per_batch if config.n_envs is None else config.n_envs
        batches_of_a_round(columns, learning.trials_per_batch, learning.batches)  # or an error
        self.tasks, self.episodes = tasks, config.episodes
        trials = make_trials(
            tasks, ranks.share(columns, "n_envs"), config.episodes, privileged=config.privileged
        )
        self.model = load_or_make(RL2PPO, trials, config, checkpoint, gamma=config.gamma)
        self.imitation = Imitation(self.model, teacher, learning)
        steps = self.imitation.demonstrations.length * learning.trials_per_batch
        self.total = learning.batches * steps

    def reached(self) -> str:
        """The divergence from the teacher in the last batch."""
        last = self.imitation.last
        return "no batch yet" if last is None else f"KL from teacher {last.divergence:.4f}"

    def learn(self, callback: list[BaseCallback], progress_bar: bool) -> None:
        """Learn from the batches that are left."""
        self.imitation.learn(callback, progress_bar)

    def play(self) -> NDArray[np.floating]:
        """Returns of new trials that the student plays, ``(trials, episodes)``."""
        with TemporaryDirectory() as folder:
            self.model.save_agent(file := Path(folder, "agent.safetensors"))
            student = load_agent(file)
        with th.random.fork_rng([]):  # learning draws what it would draw without
            return evaluate_trials(student, self.tasks, PLAYED, episodes=self.episodes).returns

    def draw(self, out: Path) -> str:
        """Draw the divergence from the teacher, and tell the last."""
        curve = imitation_curve(out, out / "learning_curve.png")
        divergence = read_progress(out, KL).y[-1]
        return (
            f"{curve}. KL divergence from the teacher, {self.teacher}: {divergence:.4f} nats per "
            f"step. To go on by reinforcement learning: rl2 train ... --init {out}"
        )
