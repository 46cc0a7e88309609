"""What environments hand in: shapes and types always, values in their first steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from numpy.typing import ArrayLike, NDArray
from stable_baselines3.common.env_util import is_wrapped

from rl2_sb3.trials.spaces import FEEDBACK, MASK, PRIVILEGED, is_trial_space, masked

LOOKED_AT = 100
"""Steps of an environment in which values are looked at; later a rollout's are, all at once."""
GREATEST = float(np.finfo(np.float32).max)
"""Larger numbers are infinite in single precision."""
ROUNDING = 1e-4
"""How far a number may lie outside of its bounds, relative to them."""
SOUND = ("action", "done", "start")
"""Parts of a trial's observation that no environment hands in."""
WAY_OUT = "Mend the environment, or its space."


class FlawError(Exception):
    """What is wrong with what an environment hands in, and the first row that it is wrong with."""

    def __init__(self, words: str, row: int = 0):
        super().__init__(words)
        self.row = row


class Warned(UserWarning):
    """An observation outside of its space that can be learned from all the same."""


def check_wrappers(env: gym.Env[Any, Any]) -> None:
    """Refuse wrappers with running statistics, which are neither saved nor resumed.

    :raises ValueError: one of them
    """
    while isinstance(env, gym.Wrapper):
        kind, running = type(env).__name__, getattr(env, "update_running_mean", True)
        if isinstance(env, NormalizeObservation) and running:
            raise ValueError(
                f"{kind} changes under the agent, and neither checkpoints nor agents' files have "
                "its statistics. Leave it out, and let the policy normalise: "
                "policy_kwargs={'normalize_observations': True}, --normalize-observations."
            )
        if isinstance(env, NormalizeReward) and running:
            raise ValueError(
                f"{kind} changes under the agent, and returns would be in units of its own. Leave "
                "it out: the value network normalises returns; or put VecNormalize("
                "..., norm_obs=False) around the trials."
            )
        env = env.env


def check_no_masks(source: Any) -> None:
    """Refuse environments and tasks with sb3-contrib's method ``action_masks``.

    :raises ValueError: one that has it
    """
    while source is not None:
        if callable(getattr(type(source), "action_masks", None)):
            raise ValueError(masked(f"method action_masks of {type(source).__name__}"))
        source = source.env if isinstance(source, gym.Wrapper) else None


def check_info(info: Mapping[str, Any], env: gym.Env[Any, Any]) -> None:
    """Refuse an action mask in a reset's info.

    :raises ValueError: there is one
    """
    if MASK in info:
        raise ValueError(masked(f"info[{MASK!r}] of {env.unwrapped}"))


def check_observation(
    parts: Mapping[str, Any], space: Mapping[str, spaces.Space[Any]], n: int, values: bool
) -> str | None:
    """Check the parts of an observation.

    :param parts: axis 0 the environment
    :param space: of each part that should be there, and of others
    :param n: number of environments
    :param values: check all values; else only those that a cast could change
    :return: what is outside of the space, but can be learned from: numbers out of bounds
    :raises FlawError: a wrong shape or type, values that are not finite or would be cast to others
    """
    odd = None
    missing = [key for key in space if key not in parts and key not in (*FEEDBACK, PRIVILEGED)]
    if missing:
        raise FlawError(f"an observation without {missing[0]!r}")
    for key, part in parts.items():
        if key not in space:
            raise FlawError(f"an observation with {key!r}, which the observation space has not")
        array = np.asarray(part)
        wanted: Any = space[key]
        shape = (n, *(wanted.shape or ()))
        if array.shape != shape:
            if array.ndim and array.shape[1:] == shape[1:]:
                raise FlawError(f"{key} of length {len(array)}, not {n}, one for each environment")
            told = f"of shape {array.shape[1:] if array.ndim else ()}, not {shape[1:]}"
            raise FlawError(f"{key} {told} as in {wanted}")
        real = isinstance(wanted, spaces.Box) and wanted.dtype.kind == "f"
        if array.dtype.kind not in ("biuf" if real else "biu"):
            raise FlawError(f"{key} of type {array.dtype}, not {wanted.dtype} as in {wanted}")
        if real:
            if values:
                check_finite(key, array)
                odd = odd or _out_of_bounds(key, array, wanted)
        elif values or not np.can_cast(array.dtype, wanted.dtype):
            odd = odd or _check_whole_numbers(key, array, wanted)
    return odd


def check_own(
    parts: Mapping[str, Any], space: Mapping[str, spaces.Space[Any]], values: bool
) -> str | None:
    """The same of one environment's observation, without an axis of environments."""
    if not values and all(_is_kin(part, space.get(key)) for key, part in parts.items()):
        return None  # the fast path: this is done in every step
    return check_observation(
        {key: np.asarray(part)[None] for key, part in parts.items()}, space, 1, values
    )


def _is_kin(part: Any, space: spaces.Space[Any] | None) -> bool:
    """Whether an array has the space's very shape and type."""
    return (
        space is not None
        and isinstance(part, np.ndarray)
        and part.dtype == space.dtype
        and part.shape == space.shape
    )


def check_finite(name: str, values: NDArray[Any]) -> None:
    """Refuse what is not finite, in single precision, which networks compute in.

    :param values: axis 0 the environment
    :raises FlawError: some number is not
    """
    if values.size and not (values.max() <= GREATEST and values.min() >= -GREATEST):
        fine = np.abs(values.astype(np.float64)) <= GREATEST
        at = np.argwhere(~fine)[0]
        raise FlawError(
            f"{name} {values[tuple(at)]}, not a finite number", int(at[0]) if len(at) else 0
        )


def check_numbers(observation: Mapping[str, Any]) -> None:
    """Refuse a trial's observation that no action can be chosen on.

    :param observation: of one trial or of many
    :raises ValueError: it, or the last reward, is not finite
    """
    try:
        for key, part in observation.items():
            array = np.asarray(part)
            if key not in SOUND and array.dtype.kind == "f":
                check_finite(key, array)
    except FlawError as flaw:
        raise ValueError(f"The agent is handed {flaw}. {WAY_OUT}") from None


def _check_whole_numbers(key: str, values: NDArray[Any], space: Any) -> str | None:
    """Refuse what would be cast to another number, or has no place among the classes."""
    if isinstance(space, spaces.Box):
        bounds = np.iinfo(space.dtype)
        low, high = bounds.min, bounds.max
    else:
        low, high = 0, 1 if isinstance(space, spaces.MultiBinary) else _classes(space) - 1
    if values.size and (np.any(values.min(axis=0) < low) or np.any(values.max(axis=0) > high)):
        at = tuple(np.argwhere((values < low) | (values > high))[0])
        raise FlawError(f"{key} {values[at]}, which is not in {space}", int(at[0]))
    return _out_of_bounds(key, values, space) if isinstance(space, spaces.Box) else None


def _classes(space: Any) -> Any:
    return space.n if isinstance(space, spaces.Discrete) else space.nvec


def _out_of_bounds(key: str, values: NDArray[Any], box: spaces.Box) -> str | None:
    if not values.size or (values.min() >= box.low.max() and values.max() <= box.high.min()):
        return None
    low, high = box.low.astype(np.float64), box.high.astype(np.float64)
    with np.errstate(invalid="ignore"):
        slack = ROUNDING * np.maximum(1, np.maximum(np.abs(low), np.abs(high)))
    slack = np.where(np.isfinite(slack), slack, 0)
    wrong = np.argwhere((values < low - slack) | (values > high + slack))
    if not len(wrong):
        return None
    return f"{key} {values[tuple(wrong[0])]}, which is out of the bounds of {box}"


def read_reward(reward: ArrayLike, n: int) -> NDArray[np.float32]:
    """Rewards of ``n`` environments, ``(n,)``.

    :raises FlawError: another shape, no real numbers, or one that is not finite
    """
    array = np.asarray(reward)
    if array.shape != (n,):
        raise FlawError(f"rewards of shape {array.shape}, not {(n,)}")
    if array.dtype.kind not in "biuf":
        raise FlawError(f"a reward of type {array.dtype}: {array[0]!r}, not a real number")
    check_finite("a reward of", array)
    return np.array(array, np.float32)


def read_number(reward: Any) -> float:
    """One environment's reward, a number or an array of one.

    :raises FlawError: no real number, or not a finite one
    """
    if not (isinstance(reward, float) and -GREATEST <= reward <= GREATEST):
        array = np.asarray(reward)
        if array.size != 1:
            raise FlawError(f"a reward of shape {array.shape}, not one number")
        read_reward(array.reshape(1), 1)
        return float(array.reshape(1)[0])
    return float(reward)


def read_ends(flags: ArrayLike, n: int) -> NDArray[np.bool_]:
    """Whether episodes of ``n`` environments ended, ``(n,)``; 0 and 1 are taken for truth values.

    :raises FlawError: another shape, or other values
    """
    array = np.asarray(flags)
    if array.shape != (n,):
        raise FlawError(f"ends of episodes of shape {array.shape}, not {(n,)}")
    if array.dtype == np.bool_:
        return array
    wrong = ~np.isin(array, (0, 1)) if array.dtype.kind in "iuf" else np.ones(n, np.bool_)
    if wrong.any():
        row = int(wrong.argmax())
        raise FlawError(f"an episode's end {array[row]!r}, which is neither true nor false", row)
    return array.astype(np.bool_)


def refusal(flaw: FlawError, environment: str, trial: int, step: int) -> RuntimeError:
    """The error that names where it was."""
    return RuntimeError(f"{place(environment, trial, step)} hands in {flaw}. {WAY_OUT}")


def warn(odd: str, environment: str, trial: int, step: int) -> None:
    """Warn of an observation outside of its space."""
    where = place(environment, trial, step)
    warnings.warn(f"{where} hands in {odd}. It is taken as it is.", Warned, stacklevel=2)


def place(environment: str, trial: int, step: int) -> str:
    """Where something is wrong, all numbers from 0; step 0 of a trial is its reset."""
    return f"Environment {environment}, in trial {trial}, step {step},"


def check_plain(env: gym.Env[Any, Any], trials: type[gym.Wrapper[Any, Any, Any, Any]]) -> None:
    """Refuse trials within trials.

    :param trials: the wrapper that makes them
    :raises ValueError: trials, or a wrapper around trials that changes their observation
    """
    if is_trial_space(env.observation_space):
        raise ValueError("The environment is a trial already: wrap it once.")
    if is_wrapped(env, trials):
        raise changed_trials(env)


def changed_trials(wrapper: Any) -> ValueError:
    """The error about a wrapper around trials that changes their observation."""
    name = type(wrapper).__name__
    return ValueError(
        f"{name} lies around trials and changes their observation, so that they are none any more. "
        f"Put such a wrapper inside: TrialWrapper({name}(env), episodes)."
    )


def same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two observations are equal, all their parts."""
    return before.keys() == now.keys() and all(
        np.array_equal(part, now[key], equal_nan=np.asarray(part).dtype.kind == "f")
        for key, part in before.items()
    )
