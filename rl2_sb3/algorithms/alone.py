"""What may lie around the training environment, and that nothing but the training steps it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    EvalCallback,
    EventCallback,
)
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnv,
    VecNormalize,
)

from rl2_sb3.trials.make import trials_like
from rl2_sb3.trials.steps import normalised, wrappers

Clock = NDArray[np.int64]
OWN = "give it an environment of its own, such as rl2_sb3.make_trials(...)"


def clock(trials: VecEnv) -> Clock:
    """Steps and resets that each column has seen, ``(n_envs,)``, whoever asked for them."""
    return np.ravel(trials.env_method("clock"))


def check_alone(trials: VecEnv, expected: Clock) -> None:
    """Raise a RuntimeError where something else has stepped or reset the trials."""
    if not np.array_equal(clock(trials), expected):
        raise RuntimeError(
            "Something else stepped or reset the training environment while a rollout was "
            f"collected, such as evaluate_policy in a callback: {OWN}."
        )


def prepare_evaluations(
    callbacks: list[BaseCallback], trials: VecEnv, episodes: int | None
) -> None:
    """Let EvalCallbacks play trials: a plain environment is wrapped as that of training was.

    They report returns in units of reward, also where those of training are scaled.

    :raises ValueError: one that would step the training environment in the middle of a rollout
    """
    for callback in _all(callbacks):
        if not isinstance(callback, EvalCallback):
            continue
        if _simulators(callback.eval_env) & _simulators(trials):
            raise ValueError(
                f"The EvalCallback would step the training environment in the middle of rollouts: "
                f"{OWN}."
            )
        callback.eval_env = _unscaled(trials_like(callback.eval_env, episodes), trials)
        callback.warn = False  # of no Monitor: trials tell their own returns


def _unscaled(env: VecEnv, trials: VecEnv) -> VecEnv:
    """What an EvalCallback plays in, with its rewards as they are.

    Where those of training are scaled, SB3 wants a VecNormalize in each place of training's.
    """
    for wrapper in wrappers(env):
        if isinstance(wrapper, VecNormalize):
            wrapper.training = wrapper.norm_reward = False
    if normalised(trials) is None or _is_wrapped_alike(env, trials):
        return env
    for _ in wrappers(trials):
        env = VecNormalize(env, training=False, norm_obs=False, norm_reward=False)
    return env


def _is_wrapped_alike(env: VecEnv, trials: VecEnv) -> bool:
    ours, theirs = wrappers(env), wrappers(trials)
    places = zip(ours, theirs, strict=False)
    return len(ours) >= len(theirs) and all(
        isinstance(our, VecNormalize) or not isinstance(their, VecNormalize)
        for our, their in places
    )


def _all(callbacks: list[BaseCallback]) -> Iterator[BaseCallback]:
    """Callbacks, and those that they call."""
    for callback in callbacks:
        yield callback
        if isinstance(callback, CallbackList):
            yield from _all(callback.callbacks)
        if isinstance(callback, EventCallback) and callback.callback is not None:
            yield from _all([callback.callback])


def _simulators(env: VecEnv) -> set[int]:
    """What is stepped in this process, by identity."""
    inner: Any = env.unwrapped
    envs = inner.envs if isinstance(inner, DummyVecEnv) else []
    return {id(inner), *(id(each.unwrapped) for each in envs)}
