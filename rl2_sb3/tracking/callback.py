"""The callbacks that track training: the log, the adaptation curve and the agent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, filter_excluded_keys

from rl2_sb3.config import LearningConfig, TRPOConfig
from rl2_sb3.options import flat_defaults
from rl2_sb3.plots import adaptation_curve
from rl2_sb3.plots.logs import write_adaptation
from rl2_sb3.tracking.tracker import Tracker, begin_or_join
from rl2_sb3.trials.callback import RETURNS

Play = Callable[[], NDArray[np.floating]]
"""Plays trials: their returns, ``(trials, episodes)``."""
ALGORITHM = ("n_envs", "episodes", "batch_size", "seed", "threads")
"""Attributes of a model that its configuration has, beside the options of its algorithm."""


class Rows(KVWriter):
    """One of a logger's outputs: hands on what is logged.

    :param take: takes the values and the environment steps
    """

    def __init__(self, take: Callable[[Mapping[str, Any], int], None]):
        self.take = take

    def write(
        self,
        key_values: dict[str, Any],
        key_excluded: dict[str, tuple[str, ...]],
        step: int = 0,
    ) -> None:
        """Hand a row of the log on."""
        self.take(filter_excluded_keys(key_values, key_excluded, "wandb"), step)

    def close(self) -> None:
        """Nothing is open."""


class Tracked(BaseCallback):
    """Tracks a model's log, and pictures of its adaptation curve.

    :param tracker: the run
    :param play: plays trials for the pictures; by default they show those that learning played
    :param minutes_between_pictures: the first comes with the first trials, the last at the end
    """

    def __init__(
        self, tracker: Tracker, play: Play | None = None, minutes_between_pictures: float = 5.0
    ):
        super().__init__()
        self.tracker, self.play = tracker, play
        self.seconds = 60 * minutes_between_pictures
        self._rows = Rows(self._take)
        self._returns: NDArray[np.floating] | None = None  # of the last trials that were logged
        self._last = -math.inf

    def _on_training_start(self) -> None:
        self.logger.output_formats.append(self._rows)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._draw(self.model.num_timesteps)
        self.logger.output_formats.remove(self._rows)

    def _take(self, values: Mapping[str, Any], steps: int) -> None:
        numbers = {name: value for name, value in values.items() if isinstance(value, Real)}
        self.tracker.log(numbers, steps)
        self._returns = values.get(RETURNS, self._returns)
        if time.monotonic() - self._last >= self.seconds:
            self._draw(steps)

    def _draw(self, steps: int) -> None:
        if self.play is None and self._returns is None:
            return  # no trial is over yet
        self.tracker.picture("adaptation", self._adaptation, steps)
        self._last = time.monotonic()

    def _adaptation(self, folder: Path) -> Path:
        returns = self._returns if self.play is None else self.play()
        assert returns is not None
        write_adaptation(folder / "adaptation.csv", {"RL2": returns})
        return adaptation_curve(folder / "adaptation.csv", folder / "adaptation.png")


class TrackingCallback(Tracked):
    """Tracks training on W&B: configuration, log, adaptation curve, and the agent as an artifact.

    ::

        RL2PPO("GRUPolicy", "bandit").learn(callback=TrackingCallback({"task": "bandit"}))

    It begins a W&B run and finishes it, unless one is active (``wandb.init``), which it leaves
    open. What is logged is what SB3's loggers get, with environment steps as the x axis. After a
    failure of W&B, which is printed, training goes on untracked.

    :param info: description of the training, as :meth:`RL2PPO.save_agent` takes it; the run's
        configuration has it, too
    :param minutes_between_pictures: of the adaptation curve
    :raises RuntimeError: W&B is not installed, or refuses, as without an account
    """

    def __init__(
        self, info: Mapping[str, Any] | None = None, minutes_between_pictures: float = 5.0
    ):
        super().__init__(Tracker(None), minutes_between_pictures=minutes_between_pictures)
        self.info = dict(info or {})

    def _on_training_start(self) -> None:
        config = {**settings_of(self.model), **self.info}
        self.tracker = begin_or_join("train", config)
        super()._on_training_start()

    def _on_training_end(self) -> None:
        super()._on_training_end()
        with self.tracker as tracker:
            tracker.agent(self._save)

    def _save(self, folder: Path) -> Path:
        model: Any = self.model
        model.save_agent(folder / "agent.safetensors", **self.info)
        return folder / "agent.safetensors"


def settings_of(model: Any) -> dict[str, Any]:
    """The options that a model learns with, those of its network among them."""
    known = {*flat_defaults(LearningConfig), *flat_defaults(TRPOConfig), *ALGORITHM}
    options = {name: value for name, value in vars(model).items() if name in known}
    return {"algorithm": type(model).__name__, **options, **asdict(model.policy.config)}
