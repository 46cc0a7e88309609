"""Trials out of vectors of plain environments: stable-baselines3's and Gymnasium's.

A column begins a new trial when its own ends, with its own seed, so the environments are taken out
of their vector and put into one of stable-baselines3's, each in a trial.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor

from rl2_sb3.trials.batched import BatchedTrials
from rl2_sb3.trials.checks import changed_trials
from rl2_sb3.trials.spaces import is_trial_space
from rl2_sb3.trials.wrapper import TrialWrapper

MakeTrial = Callable[..., gym.Env[Any, Any]]
"""A trial out of an environment or a function that makes one, and its ``number``."""
OF_VECTORS = ("num_envs", "vectorization_mode", "vector_kwargs", "wrappers", "max_episode_steps")
"""What ``gymnasium.make_vec`` notes in a specification beside the environment's own options."""


def as_trial_columns(env: VecEnv, make_trial: MakeTrial) -> VecEnv:
    """A VecEnv whose environments are plain, with each of them in a trial.

    :raises ValueError: environments in other processes, or wrappers around plain environments
    """
    if type(env) is DummyVecEnv and not any(env.env_is_wrapped(TrialWrapper)):
        trials = DummyVecEnv(
            [partial(make_trial, each, number=i) for i, each in enumerate(env.envs)]
        )
        trials._seeds = env._seeds  # given, but not used before the first reset
        return trials
    if type(env) is VecMonitor:
        monitor = VecMonitor(as_trial_columns(env.venv, make_trial), None, env.info_keywords)
        monitor.results_writer = env.results_writer
        return monitor
    name = type(env).__name__
    if isinstance(env.unwrapped, BatchedTrials) or any(env.env_is_wrapped(TrialWrapper)):
        raise changed_trials(env)
    raise ValueError(
        f"A {name} of plain environments cannot be wrapped from outside: make "
        "trials with rl2_sb3.make_trials(..., workers='subprocess') and put other "
        "wrappers around them, or put each environment into a rl2_sb3.TrialWrapper before. What "
        "changes observations goes inside, around the environment: "
        "gymnasium.wrappers.FrameStackObservation in the place of VecFrameStack."
    )


def as_trials_of_gymnasium(env: VectorEnv[Any, Any, Any], make_trial: MakeTrial) -> VecEnv:
    """Trials of the environments that one of Gymnasium's vectors consists of, or stands for.

    Those of an AsyncVectorEnv get processes of their own. A vector that computes all environments
    at once is replaced by single ones of the same id and options.

    :raises ValueError: a wrapper around a vector, or a vector that has no single environments
    """
    if isinstance(env, (SyncVectorEnv, AsyncVectorEnv)) and is_trial_space(
        env.single_observation_space
    ):
        make_trial = _as_it_is
    if isinstance(env, SyncVectorEnv):
        return DummyVecEnv([partial(make_trial, each, number=i) for i, each in enumerate(env.envs)])
    if isinstance(env, AsyncVectorEnv):
        return SubprocVecEnv(
            [partial(make_trial, make, number=i) for i, make in enumerate(env.env_fns)]
        )
    spec = env.spec
    if env.unwrapped is not env or spec is None or spec.entry_point is None:
        raise ValueError(
            f"A {type(env).__name__} cannot be taken apart into single environments, which trials "
            "need: pass the environment's id, or rl2_sb3.make_trials(make_env, n_envs) with a "
            "function that makes one environment, wrappers included."
        )
    kwargs = {key: value for key, value in spec.kwargs.items() if key not in OF_VECTORS}
    limit = spec.kwargs.get("max_episode_steps", spec.max_episode_steps)
    make_env = partial(gym.make, spec.id, max_episode_steps=limit, **kwargs)
    return DummyVecEnv([partial(make_trial, make_env, number=i) for i in range(env.num_envs)])


def _as_it_is(source: Any, number: int = 0) -> gym.Env[Any, Any]:
    env: gym.Env[Any, Any] = source if isinstance(source, gym.Env) else source()
    return env
