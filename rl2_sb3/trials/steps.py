"""A step of a VecEnv of trials, as learning, logging and evaluation read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from rl2_sb3.tasks.step_info import KEY, StepInfo
from rl2_sb3.trials.infos import TrialInfos


class TrialStep(NamedTuple):
    """What came of a step; all arrays are ``(n_envs,)``."""

    observation: dict[str, NDArray[Any]]
    """The next one: of the next trial, where one ended."""
    reward: NDArray[np.floating]
    """What the agent observes and is evaluated by."""
    training_reward: NDArray[np.floating]
    """What is learned from: the reward, but in privileged trials."""
    episode_ended: NDArray[np.bool_]
    trial_ended: NDArray[np.bool_]
    cut: NDArray[np.bool_]
    """Trials that end here before their end: lost, or at a time limit around them."""
    lost: NDArray[np.bool_]
    """Trials that are cut here because their simulator died: they count for nothing."""
    success: NDArray[np.floating]
    """Of an episode that ends here: 1 or 0, or NaN where that is not known."""
    metrics: Mapping[str, NDArray[np.floating]]
    """Of an episode that ends here, by name; NaN where they are not known."""


def read_step(
    observation: Any,
    reward: NDArray[np.floating],
    done: NDArray[np.bool_],
    infos: Any,
    trials: VecEnv | None = None,
) -> TrialStep:
    """Read what a VecEnv of trials gave.

    :param trials: the VecEnv: under a VecNormalize, which scales what is learned from, lies the
        reward itself
    """
    step = _read(observation, reward, done, infos)
    scaled = normalised(trials)
    return step if scaled is None else step._replace(reward=scaled.get_original_reward())


def wrappers(trials: VecEnv | None) -> list[VecEnvWrapper]:
    """What lies around trials, from the outside in."""
    found = []
    while isinstance(trials, VecEnvWrapper):
        found.append(trials)
        trials = trials.venv
    return found


def normalised(trials: VecEnv | None) -> VecNormalize | None:
    """The innermost VecNormalize around trials, if there is one."""
    scaling = [each for each in wrappers(trials) if isinstance(each, VecNormalize)]
    return scaling[-1] if scaling else None


def _read(
    observation: Any, reward: NDArray[np.floating], done: NDArray[np.bool_], infos: Any
) -> TrialStep:
    n, done = len(done), np.asarray(done, np.bool_)
    ended = observation["done"][:, 0].astype(np.bool_) | done
    cut, lost, success = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.full(n, np.nan)
    if isinstance(infos, TrialInfos):  # arrays, which lose no trial
        training = reward if infos.training_reward is None else infos.training_reward
        told_of = dict(infos.metrics)
        success = told_of.pop("success", success)
        return TrialStep(observation, reward, training, ended, done, cut, lost, success, told_of)
    metrics: dict[str, NDArray[np.floating]] = {}
    training = np.array(reward, np.float32)
    for column, info in enumerate(infos):
        told = info.get(KEY)
        if isinstance(told, StepInfo):  # another environment's entry of this name is of no trial
            if told.training_reward is not None:
                training[column] = told.training_reward
            if told.success is not None:
                success[column] = told.success
            lost[column] = told.lost
            for name, value in (told.metrics or {}).items():
                metrics.setdefault(name, np.full(n, np.nan))[column] = value
        # SB3's VecEnvs set it for each environment that is truncated and not terminated.
        cut[column] = done[column] and info.get("TimeLimit.truncated", False)
    return TrialStep(observation, reward, training, ended, done, cut, lost, success, metrics)
