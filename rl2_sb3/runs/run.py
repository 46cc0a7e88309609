"""What all runs do: begin or go on in a folder, save now and then, and end with an agent."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any, Protocol, TypeVar

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.algorithms.transfer import take_weights
from rl2_sb3.config import FolderConfig, RunConfig
from rl2_sb3.options import flat
from rl2_sb3.provenance import hardware, version
from rl2_sb3.runs.folder import AGENT, CHECKPOINT, check_free, check_resumed, claim, make_logger

Model = RL2PPO | RL2TRPO
C = TypeVar("C", bound=RunConfig, contravariant=True)
TOLD = ("task", "options", "episodes", "algorithm", "teacher", "init", "seed")
TOLD_IF_SET = ("privileged", "student_share", "cost_weight")
"""Settings of a run that its agent's file has."""


class Learner(Protocol):
    """A model, and how it learns."""

    model: Model

    def learn(self, callback: BaseCallback, progress_bar: bool) -> None:
        """Learn what is left to learn."""

    def draw(self, out: Path) -> str:
        """Draw the learning curve of a run's folder; its path, and more to say, if there is.

        :raises ValueError: nothing to draw
        """


class MakeLearner(Protocol[C]):
    """What makes a learner."""

    def __call__(self, config: C, options: dict[str, Any], checkpoint: Path | None) -> Learner:
        """Make one.

        :param options: of the task distribution
        :param checkpoint: where to go on from
        :raises ValueError: settings that make no run
        """


def run(make: MakeLearner[C], config: C, options: dict[str, Any], folder: FolderConfig) -> Path:
    """Learn in a folder, or go on there.

    :param options: of the task distribution
    :return: the agent's file
    :raises ValueError: a folder in use, another run's checkpoint, settings that make no run
    """
    out, checkpoint = folder.out, folder.out / CHECKPOINT
    told = {**flat(config), "options": options}
    check_free(out, folder.resume, folder.overwrite)
    if folder.resume:
        check_resumed(out, told, type(config))
    learner = make(config, options, checkpoint if folder.resume and checkpoint.exists() else None)
    model = learner.model
    claim(out, told, folder.resume)
    model.set_logger(make_logger(out))
    steps, seconds = model.num_timesteps, model.seconds
    try:
        learner.learn(
            SaveEvery(checkpoint, 60 * folder.minutes_between_checkpoints), folder.progress
        )
    except KeyboardInterrupt:
        hint = "before the first checkpoint: nothing is saved."
        if checkpoint.exists():
            hint = f"Add --resume to go on from the last checkpoint, {checkpoint}."
        print(f"\nInterrupted. {hint}", file=sys.stderr)
        raise
    model.save(checkpoint)
    model.logger.close()
    assert model.env is not None
    model.env.close()
    agent = store_agent(model, out, told)
    try:
        curve = learner.draw(out)
    except ValueError as error:  # no trial was over yet, or a log is damaged
        curve = f"unknown ({error})"
    print(
        f"{model.num_timesteps:,} steps, {model.num_timesteps - steps:,} of them now in "
        f"{model.seconds - seconds:.0f} s on {_machine(model)}. Agent: {agent}, "
        f"learning curve: {curve}"
    )
    return agent


def load_or_make(
    kind: type[Model], trials: VecEnv, config: RunConfig, checkpoint: Path | None, **learning: Any
) -> Model:
    """The model of a checkpoint, or a new one, with the weights that it begins with.

    :param learning: how a new one learns
    """
    if checkpoint is not None:
        return kind.load(
            checkpoint, trials, device=config.device, force_reset=False, threads=config.threads
        )
    model = kind(
        config.policy,
        trials,
        policy_kwargs=vars(config.network),
        seed=config.seed,
        device=config.device,
        threads=config.threads,
        **learning,
    )
    if config.init is not None:
        take_weights(model, config.init)
    return model


def store_agent(model: Model, out: Path, config: dict[str, Any]) -> Path:
    """Write the agent's file, with what is worth knowing of the run."""
    agent = out / AGENT
    model.save_agent(
        agent,
        **{key: config[key] for key in TOLD if config.get(key) is not None},
        **{key: config[key] for key in TOLD_IF_SET if config.get(key)},
        hardware=_machine(model),
        version=version(),
    )
    return agent


def _machine(model: Model) -> str:
    return hardware(model.device, max(model.learning_threads()))


class SaveEvery(BaseCallback):
    """Saves the model before a rollout whenever so many seconds have passed."""

    def __init__(self, path: Path, seconds: float):
        super().__init__()
        self.path = path
        self.seconds = seconds
        self._last = -math.inf  # the first is written after the first rollout

    def _on_step(self) -> bool:
        return True

    def _on_training_start(self) -> None:
        self._begin = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        due = time.monotonic() - self._last >= self.seconds
        if due and self.model.num_timesteps > self._begin:
            model: Any = self.model  # an RL2PPO or RL2TRPO
            model.save(self.path, exact=True)  # the last good one is not replaced by less
            self._last = time.monotonic()
