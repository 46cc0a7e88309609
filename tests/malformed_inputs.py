"""Malformed options, configurations, environments and plugins, for :mod:`tests.malformed`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.algorithms.imitation import Imitation
from rl2_sb3.algorithms.rollouts import TrialRollouts
from rl2_sb3.cli import main
from rl2_sb3.registry import MEMORIES, TASKS
from tests.envs import SmallEnv, vector
from tests.malformed import Case, UserError
from tests.malformed_files import NONSENSE

TRAIN: dict[str, list[str]] = {
    "--n-envs": ["0", "-3", "1.5"],
    "--n-steps": ["0", "-3", "x"],
    "--trials-per-batch": ["0", "-3", "nan"],
    "--threads": ["0", "-3", "1.5"],
    "--episodes": ["0", "-1", "x", ""],
    "--hidden-size": ["0", "-1", "1e3", ""],
    "--n-epochs": ["0", "-1", "x"],
    "--steps": ["0", "-1", "x", "nan", "inf", "1.5"],
    "--learning-rate": ["nan", "-1", "inf", "1e30", "x"],
    "--vf-coef": ["nan", "-1", "inf"],
    "--gamma": ["nan", "-0.1", "1.5", "inf"],
    "--gae-lambda": ["nan", "-0.1", "1.5"],
    "--value-lambda": ["nan", "2", "x"],
    "--clip-range": ["nan", "-1", "0", "inf"],
    "--max-grad-norm": ["nan", "-1", "0"],
    "--target-kl": ["nan", "-1", "0"],
    "--ent-coef": ["nan", "inf", "-1"],
    "--minutes-between-checkpoints": ["nan", "-1"],
    "--seed": ["x", "-1", "1.5"],
    "--device": ["x", "gpu:x"],
    "--memory": ["x", "grru", ""],
    "--memory-kwargs": ["x", "x=1", "=", "size=3"],
    "--memory-steps": ["1", "-1"],
    "--episode-units": ["-1", "1000"],
    "--layers-before": ["x", "-1", "0"],
    "--layers-after": ["1.5", "0"],
    "--candidate": ["x"],
    "--precision": ["fp8"],
    "--value-network": ["x"],
    "--prediction-coef": ["-1", "nan", "1"],
    "--policy": ["MlpPolicy"],
    "--algorithm": ["sac"],
    "--workers": ["x"],
    "--init": ["nothing", "/dev/null", "", "x.safetensors", "a\0b", "x" * 5000],
    "--preset": ["x", ""],
    "--config": ["nothing.yaml", "/", "/dev/null", ""],
    "--arms": ["0", "-1", "x", "1.5"],
    "--alpha": ["nan", "-1", "0"],
    "--leraning-rate": ["1"],
    "--cg-damping": ["1"],
    "--line-search-max-iter": ["0", "-2"],
}
"""Options of ``rl2 train bandit`` with values that make no sense."""
COMMANDS = (Path(__file__).parent / "data" / "malformed_commands.txt").read_text().splitlines()
"""Whole commands that make no sense."""


class LearnedError(Exception):
    """Training began, with options that make no sense."""


def _learned(*_: Any, **__: Any) -> None:
    raise LearnedError


def _command(words: list[str], folder: Path) -> None:
    """Run a command that may not come to learning."""
    with (
        patch.object(TrialRollouts, "learn", _learned),
        patch.object(Imitation, "learn", _learned),
    ):
        try:
            main(words)
        except LearnedError:
            return


def options(rng: random.Random, folder: Path) -> list[Case]:
    """Commands with options, names and words that make no sense."""
    found = []
    for name, values in TRAIN.items():
        for value in values:
            words = ["train", "bandit", f"{name}={value}", f"--out={folder / 'run'}", "--overwrite"]
            found.append(Case(f"train {name}={value[:40]!r}", partial(_command, words, folder)))
    for command in COMMANDS:
        words = command.split()
        if words and words[0] in ("train", "imitate") and len(words) > 1:
            words += [f"--out={folder / 'run'}", "--overwrite"]
        if words and words[0] in ("evaluate", "sweep"):
            words += [f"--out={folder / 'evaluated'}"]
        found.append(Case(command, partial(_command, words, folder)))
    return found


def configs(rng: random.Random, folder: Path) -> list[Case]:
    """Files for ``--config`` and runs' ``config.json``, with nonsense for names and values."""
    found = []
    for i in range(40):
        name = rng.choice(
            ["hidden_size", "learning_rate", "layers_before", "memory", "options", "x"]
        )
        text = (
            f"{name}: {rng.choice(NONSENSE)}\ngamma: {rng.choice(['x', '[1]', '{}', '7', '!y z'])}"
        )
        path = folder / f"{i}.yaml"
        path.write_text(text, encoding="utf-8")
        words = ["train", "bandit", "--config", str(path), f"--out={folder / 'run'}"]
        found.append(Case(f"--config {text!r}", partial(_command, words, folder)))
    texts = ["", "{", "[]", "null", "3", '{"task": 3}', '{"seed": "x"}', "\0", '{"task": {}}']
    for i, text in enumerate(texts):
        run = folder / f"run{i}"
        run.mkdir()
        (run / "config.json").write_text(text)
        (run / "checkpoint.zip").write_text("no checkpoint")
        for words in (["train", "bandit", f"--out={run}", "--resume"], ["plot", str(run)]):
            found.append(Case(f"{words[0]} with {text!r}", partial(_command, words, folder)))
    whole = folder / "list.yaml"
    whole.write_bytes(b"\xff\xfe" + json.dumps([1]).encode())
    words = ["train", "bandit", "--config", str(whole), f"--out={folder / 'run'}"]
    return [*found, Case("--config of bytes", partial(_command, words, folder))]


class Own(SmallEnv):
    """An environment with an error of its own."""

    def __init__(self, where: str = ""):
        if where == "init":
            raise UserError
        super().__init__(vector(2), spaces.Discrete(2))
        self.where = where

    def reset(self, **options: Any) -> Any:
        if self.where == "reset":
            raise UserError
        return super().reset(**options)

    def step(self, action: Any) -> Any:
        if self.where == "step":
            raise UserError
        return super().step(action)


class OfGym(SmallEnv):
    """An environment whose steps have the four parts of Gym's."""

    def __init__(self) -> None:
        super().__init__(vector(2), spaces.Discrete(2))

    def step(self, action: Any) -> Any:
        return super().step(action)[:4]


class NoSpaces(gym.Env[Any, Any]):
    """An environment that says nothing of itself."""


def _small(observations: Any = None, actions: Any = None) -> Callable[[], gym.Env[Any, Any]]:
    observations, actions = observations or vector(2), actions or spaces.Discrete(2)
    return lambda: SmallEnv(observations, actions)


SOURCES: dict[str, Any] = {
    "None": None,
    "a number": 3,
    "a list": [],
    "a class that is none": object,
    "makes None": lambda: None,
    "makes a class": lambda: SmallEnv,
    "no spaces": NoSpaces,
    "steps of Gym": OfGym,
    "unknown id": "Nothing-v0",
    "empty name": "",
    "misspelt": "bandti",
    "text actions": _small(actions=spaces.Text(5)),
    "whole Box actions": _small(actions=spaces.Box(0, 5, (2,), np.int64)),
    "shifted actions": _small(actions=spaces.Discrete(3, start=1)),
    "Sequence observations": _small(spaces.Sequence(spaces.Discrete(2))),
    "Graph observations": _small(spaces.Graph(spaces.Discrete(2), None)),
    "shifted observations": _small(spaces.Discrete(3, start=-1)),
    "no shape": _small(spaces.Box(0, 1, ())),
    "Dict of nothing": _small(spaces.Dict({"a": spaces.Dict({})})),
    "two-dimensional MultiDiscrete": _small(spaces.MultiDiscrete(np.array([[2, 2]]))),
    "own error in init": partial(Own, "init"),
    "own error in reset": partial(Own, "reset"),
    "own error in step": partial(Own, "step"),
    "spaces that are none": _small("observations", "actions"),
    "an action space that is none": _small(actions=3),
}


def environments(rng: random.Random, folder: Path) -> list[Case]:
    """What is no environment, or one with spaces that policies cannot take."""
    found = []
    for name, source in SOURCES.items():
        found.append(Case(name, partial(_train_in, source)))
    return found


def _train_in(source: Any) -> None:
    trials = make_trials(source, 2, episodes=2)
    RL2PPO("GRUPolicy", trials, n_steps=4, policy_kwargs={"hidden_size": 2}).learn(16)


def plugins(rng: random.Random, folder: Path) -> list[Case]:
    """Plugins that break as they are imported or used, and such as are of another kind."""

    def raises(error: BaseException) -> Callable[..., Any]:
        def load(*_: Any) -> Any:
            raise error

        return load

    found = []
    for error in (
        SystemExit(0),
        SystemExit(3),
        ImportError("x y z"),
        MemoryError("x y z"),
        OSError(5),
    ):
        load = patch("importlib.metadata.EntryPoint.load", raises(error))
        found.append(Case(f"raises {error!r}", partial(_with, load, ["train", "bandit"], folder)))
    for what in (None, 3, "x", object, int, lambda: None, SmallEnv):
        found += [
            Case(f"tasks {what!r}", partial(_registered, TASKS, what, ["train", "own"], folder)),
            Case(
                f"memory {what!r}",
                partial(
                    _registered, MEMORIES, what, ["train", "bandit", "--memory", "own"], folder
                ),
            ),
        ]
    return found


def _with(context: Any, words: list[str], folder: Path) -> None:
    with context:
        _command([*words, f"--out={folder / 'run'}"], folder)


def _registered(registry: Any, what: Any, words: list[str], folder: Path) -> None:
    with patch.dict(registry._registered, {"own": what}):
        _command([*words, f"--out={folder / 'run'}"], folder)
