"""What is timed: training runs of one size each, by the public interface of rl2_sb3 alone.

So an earlier commit's code can run them as well as the present one.
"""

from __future__ import annotations

import inspect
import resource
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch as th
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.logger import Logger, configure

from benchmarks.settings import SETTINGS, SHARED_256, Setting
from rl2_sb3 import make_trials
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.trials.make import make_tasks

# An earlier commit's name comes first: the present modules are found from there, too.
try:
    imitation = import_module("rl2_sb3.imitation")
except ImportError:
    imitation = import_module("rl2_sb3.algorithms.imitation")
Demonstrations: Any = imitation.Demonstrations

Clock = Callable[[], float]
Timed = dict[str, float]
"""A round's steps, and seconds of collecting, training and both."""


def make_model(setting: Setting, precision: str, device: str) -> Any:
    """An untrained model, with trials of its own."""
    trials = make_trials(
        setting.task,
        setting.columns,
        setting.episodes,
        seed=0,
        privileged=setting.privileged,
        **setting.options,
    )
    learning = dict(setting.learning)
    if "threads" in inspect.signature(setting.kind).parameters:
        learning["threads"] = th.get_num_threads()
    return setting.kind(
        setting.policy,
        trials,
        n_steps=setting.n_steps,
        batch_size=setting.minibatch * setting.n_steps,
        policy_kwargs={**setting.network, "precision": precision},
        seed=0,
        device=device,
        **learning,
    )


class Training:
    """Rounds of collecting and training; the first, with one epoch, only warms up."""

    def __init__(self, model: Any, rollouts: int = 1, now: Clock = time.perf_counter):
        self.model, self.rollouts, self.now = model, rollouts, now
        self.seconds: Timed = {"collecting": 0.0, "training": 0.0}
        for name, phase in (("collect_rollouts", "collecting"), ("train", "training")):
            setattr(model, name, self._timed(phase, getattr(model, name)))
        epochs, model.n_epochs = model.n_epochs, 1
        self.round()
        model.n_epochs = epochs

    def _timed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            begin = self.now()
            result = function(*args, **kwargs)
            if self.model.device.type == "cuda":
                th.cuda.synchronize()
            self.seconds[phase] += self.now() - begin
            return result

        return call

    def round(self) -> Timed:
        steps = self.rollouts * self.model.n_steps * self.model.n_envs
        self.seconds |= {"collecting": 0.0, "training": 0.0}
        begin = self.now()
        self.model.learn(steps)
        both = self.now() - begin
        assert self.model.num_timesteps == steps
        return {"steps": steps, **self.seconds, "both": both}


class Imitation:
    """Minibatches of ``rl2 imitate``; "collecting" is the teacher's play."""

    BATCHES = 4

    def __init__(self, precision: str, device: str, now: Clock):
        self.now = now
        setting = SETTINGS["imitation"]
        self.model = make_model(setting, precision, device)
        self.model.set_logger(Logger(None, []))
        self.teacher: Any = make_baseline(
            "gittins(method='finite-horizon', ties='first')",
            make_tasks(setting.task, **setting.options),
            setting.episodes,
        )
        self.round()

    def _imitate(self) -> None:
        if not hasattr(imitation, "Imitation"):
            imitation.imitate(self.model, self.teacher, self.BATCHES, progress=False)
            return
        config = imitation.ImitationConfig(batches=self.BATCHES, trials_per_batch=self.model.n_envs)
        imitation.Imitation(self.model, self.teacher, config).learn()

    def round(self) -> Timed:
        playing, play = 0.0, Demonstrations.play

        def timed(*args: Any, **kwargs: Any) -> Any:
            nonlocal playing
            begin = self.now()
            played = play(*args, **kwargs)
            playing += self.now() - begin
            return played

        self.model.num_timesteps = 0
        Demonstrations.play = timed
        try:
            begin = self.now()
            self._imitate()
            both = self.now() - begin
        finally:
            Demonstrations.play = play
        steps = self.model.num_timesteps
        return {"steps": steps, "collecting": playing, "training": both - playing, "both": both}


def recurrent_ppo(columns: int | None, device: str) -> RecurrentPPO:
    """sb3-contrib's, with the sizes of "shared-256"; for ``None`` with its defaults."""
    setting = SHARED_256
    trials = make_trials("bandit", columns or 8, setting.episodes, seed=0, **setting.options)
    if columns is None:  # with 500 columns, one of its updates takes minutes
        return RecurrentPPO("MultiInputLstmPolicy", trials, seed=0, device=device)
    lstm = {"lstm_hidden_size": setting.network["hidden_size"], "net_arch": []}
    return RecurrentPPO(
        "MultiInputLstmPolicy",
        trials,
        n_steps=setting.n_steps,
        batch_size=setting.minibatch * setting.n_steps,
        policy_kwargs={**lstm, "shared_lstm": True, "enable_critic_lstm": False},
        seed=0,
        device=device,
        **setting.learning,
    )


def make(workload: str, precision: str, device: str, now: Clock) -> Training | Imitation:
    """Make what is timed under a name, and warm it up.

    :param now: tells the seconds
    """
    if workload == "imitation":
        return Imitation(precision, device, now)
    if workload == "recurrent-ppo":
        return Training(recurrent_ppo(SHARED_256.columns, device), now=now)
    if workload == "recurrent-ppo-defaults":
        return Training(recurrent_ppo(None, device), now=now)
    setting = SETTINGS[workload]
    model = make_model(setting, precision, device)
    if workload == "collecting":
        model.train = lambda: None  # only its collecting is of interest
    if workload == "demo":  # `rl2 train` logs, and such short rollouts feel it
        model.logs = tempfile.TemporaryDirectory()  # goes with the model
        model.set_logger(configure(model.logs.name, ["csv", "tensorboard"]))
    return Training(model, setting.rollouts, now)


def peak_memory(precision: str, device: str) -> int:
    """KiB that this process took at its peak, after two rollouts of 250 000 steps.

    One epoch each: more of them take no more.
    """
    model = make_model(SETTINGS["collecting"], precision, device)
    model.n_epochs = 1
    model.learn(2 * model.n_steps * model.n_envs)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
