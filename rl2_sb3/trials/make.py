"""Trials out of what a user has: a name, an environment, a VecEnv."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3.common.env_util import unwrap_wrapper
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecEnvWrapper,
    VecTransposeImage,
)

from rl2_sb3 import ranks
from rl2_sb3.config import RunConfig, Workers
from rl2_sb3.processes import follow_parent
from rl2_sb3.registry import TASKS, did_you_mean
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.trials.batched import BatchedTrials
from rl2_sb3.trials.spaces import is_trial_space
from rl2_sb3.trials.steps import normalised
from rl2_sb3.trials.threads import LocalVecEnv, ThreadedVecEnv
from rl2_sb3.trials.vectors import as_trial_columns, as_trials_of_gymnasium
from rl2_sb3.trials.wrapper import TrialWrapper

EPISODES = RunConfig.episodes
MakeEnv = Callable[[], gym.Env[Any, Any]]


def _in_processes(env_fns: list[MakeEnv]) -> VecEnv:
    """Each environment in a process, which ends with this one."""
    return SubprocVecEnv([partial(_in_worker, make) for make in env_fns])


def _in_worker(make: MakeEnv) -> gym.Env[Any, Any]:
    follow_parent()
    return make()


VEC_ENVS: dict[str, Callable[[list[MakeEnv]], VecEnv]] = {
    "in-process": LocalVecEnv,
    "threads": ThreadedVecEnv,
    "subprocess": _in_processes,
}
BATCHED_ENVS = 500
GYM_ENVS = 8

EnvSource = str | gym.Env[Any, Any] | MakeEnv | BatchedTasks[Any, Any] | GymTasks


def make_trials(
    source: EnvSource,
    n_envs: int | None = None,
    episodes: int = EPISODES,
    seed: int | None = None,
    workers: Workers = "in-process",
    privileged: bool = False,
    **options: Any,
) -> VecEnv:
    """Make a VecEnv of trials.

    :param source: a registered task distribution's name, a Gymnasium id, a function that makes an
        environment, an environment (for ``n_envs=1``), or a task distribution
    :param n_envs: trials that run at once; by default 500 for arrays, else 8
    :param episodes: episodes per trial
    :param seed: of tasks and noise
    :param workers: where environments run: all in this thread, in as many threads as there are
        processors (for simulators that release Python's lock), or each in a process of its own;
        arrays need none
    :param privileged: training may use what only a simulator knows: see :class:`BatchedTrials`
    :param options: of the task distribution, or of the Gymnasium environment
    :raises ValueError: an unknown name or option, or an environment that cannot be wrapped
    :raises RuntimeError: a broken task distribution
    """
    if workers not in VEC_ENVS:
        raise ValueError(f"workers={workers!r}: use one of {', '.join(VEC_ENVS)}.")
    if n_envs is not None and n_envs < 1:
        raise ValueError(f"n_envs={n_envs}: at least 1.")
    tasks = make_tasks(source, **options)
    if isinstance(tasks, BatchedTasks):
        return BatchedTrials(tasks, n_envs or BATCHED_ENVS, episodes, seed, privileged)
    if privileged and not isinstance(tasks, GymTasks):
        raise ValueError("privileged=True needs a task distribution (BatchedTasks or GymTasks).")
    if isinstance(tasks, gym.Env):
        if n_envs not in (None, 1) or workers == "subprocess":
            raise ValueError(
                f"One environment cannot be n_envs={n_envs}, nor move to another process: pass a "
                "function that makes it."
            )
        n_envs = 1
    make = partial(_make_trial, tasks, episodes, privileged)
    envs = VEC_ENVS[workers]([partial(make, number) for number in range(n_envs or GYM_ENVS)])
    if seed is not None:
        seed_trials(envs, seed)
    return envs


def share_columns(source: EnvSource, columns: int | None = None, **options: Any) -> int | None:
    """This rank's part of the trials that run at once.

    :param columns: of all ranks, by default as many as :func:`make_trials` makes, or a few fewer
    :param options: of the source
    :raises ValueError: not a multiple of the number of ranks
    """
    if ranks.size() == 1:
        return columns
    if columns is None:
        batched = isinstance(make_tasks(source, **options), BatchedTasks)
        return max(1, (BATCHED_ENVS if batched else GYM_ENVS) // ranks.size())
    return ranks.share(columns, "n_envs")


def seed_trials(trials: VecEnv, seed: int) -> None:
    """Seed trials, so that those of two seeds have nothing in common.

    SB3 seeds column ``i`` with ``seed + i``: all but one of the columns of seed 0 would be those
    of seed 1 as well.
    """
    if not isinstance(trials.unwrapped, BatchedTrials):
        seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    trials.seed(seed)


def make_tasks(source: EnvSource, **options: Any) -> Any:
    """A task distribution, or a function that makes environments, or an environment.

    :raises ValueError: an unknown name or option
    :raises RuntimeError: a broken task distribution
    """
    if not isinstance(source, str):
        if options:
            raise ValueError(f"Options {sorted(options)} go with a name, not with an object.")
        if not isinstance(source, (gym.Env, BatchedTasks, GymTasks)) and not callable(source):
            raise ValueError(
                f"{source!r} is no source of trials: pass a task distribution or its name, a "
                "Gymnasium environment, its id, or a function that makes it."
            )
        return source
    if source in TASKS:
        return _make_registered(source, options)
    try:
        module, _, name = source.rpartition(":")  # "module:Env-v0": a module that registers it
        if module:
            importlib.import_module(module)
        gym.spec(name)
    except (gym.error.Error, ModuleNotFoundError) as error:
        raise ValueError(
            f"{source!r} is neither a registered task distribution nor a Gymnasium environment: "
            f"{error}{TASKS.hint(source)}"
        ) from error
    return partial(_make_gym, source, **options)


def _make_gym(name: str, **options: Any) -> gym.Env[Any, Any]:
    try:
        return gym.make(name, **options)
    except gym.error.DependencyNotInstalled as error:
        raise ValueError(f"{name} needs a package: {error}") from error


def _make_registered(name: str, options: dict[str, Any]) -> BatchedTasks[Any, Any] | GymTasks:
    factory = TASKS.load(name)
    tasks = None
    if callable(factory):
        parameters = inspect.signature(factory).parameters.values()
        known = {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}
        for option in options:
            if option not in known and len(known) == len(parameters):
                raise ValueError(
                    f"{name} has no option {option!r}.{did_you_mean(option, list(known))} "
                    f"Its options: {', '.join(known) or 'none'}."
                )
        missing = [o for o in known if known[o] is inspect.Parameter.empty and o not in options]
        if missing:
            raise ValueError(
                f"{name} needs its options {', '.join(missing)}: they have no default."
            )
        tasks = factory(**options)
    if not isinstance(tasks, (BatchedTasks, GymTasks)):
        raise RuntimeError(
            f"Task distribution {name!r} of {TASKS.distribution(name)} is broken: its entry point "
            "must name a subclass of BatchedTasks or GymTasks, or a function that gives one."
        )
    return tasks


def _make_trial(
    tasks: Any, episodes: int, privileged: bool = False, number: int = 0
) -> gym.Env[Any, Any]:
    if isinstance(tasks, GymTasks):
        trial = TrialWrapper(tasks.make_env(), episodes, tasks, privileged=privileged)
        trial.number = number
        return trial
    env = tasks if isinstance(tasks, gym.Env) else tasks()
    if not isinstance(env, gym.Env):
        raise ValueError(f"{tasks!r} gave {env!r}: it must make a Gymnasium environment.")
    inside: Any = unwrap_wrapper(env, Monitor)
    trial = TrialWrapper(env, episodes)
    trial.number = number
    if inside is not None and inside.results_writer is not None:
        monitor: Monitor[Any, Any] = copy(
            inside
        )  # a line of its file is a trial, as it is an episode for SB3
        monitor.env = trial
        return monitor
    return trial


def as_trials(
    env: GymEnv | EnvSource | VectorEnv[Any, Any, Any], episodes: int | None = None
) -> VecEnv:
    """The environment that an algorithm was given, as trials: wrapped unless it is already.

    :param env: a plain one, a vector of them, or trials
    :param episodes: episodes per trial of a plain environment, by default 10
    :raises ValueError: an environment that cannot be wrapped, with the way out
    """
    if isinstance(env, (VecEnv, gym.Env)) and is_trial_space(env.observation_space):
        if episodes is not None and env_episodes(env) != episodes:
            raise ValueError(
                f"episodes={episodes}, but the environment's trials have {env_episodes(env)}: "
                "leave episodes out."
            )
        return env if isinstance(env, VecEnv) else DummyVecEnv([lambda: env])
    make_trial = partial(_make_trial, episodes=EPISODES if episodes is None else episodes)
    if isinstance(env, VecEnv):
        if normalised(env) is not None:
            raise ValueError(
                "A VecNormalize of plain environments cannot be wrapped from outside: put it "
                "around trials, VecNormalize(rl2_sb3.make_trials(...), norm_obs=False), and let "
                "the policy normalise: policy_kwargs={'normalize_observations': True}."
            )
        return as_trial_columns(env, make_trial)
    if isinstance(env, VectorEnv):
        return as_trials(as_trials_of_gymnasium(env, make_trial), episodes)
    if isinstance(env, (str, gym.Env, BatchedTasks, GymTasks)):
        n_envs = None if isinstance(env, gym.Env) else share_columns(env)
        return make_trials(env, n_envs, EPISODES if episodes is None else episodes)
    raise ValueError(
        f"{env!r} is no environment: pass a Gymnasium environment, its id, a task distribution or "
        "its name, or a vector of environments."
    )


def check_wrappers(trials: VecEnv) -> None:
    """Raise a ValueError where a wrapper would change what is learned from, or seen."""
    scaled = normalised(trials)
    if scaled is not None and scaled.norm_obs:
        raise ValueError(
            "VecNormalize(norm_obs=True) around trials: agents' files would lack its statistics, "
            "and the agent would see other observations than it was trained on. Use VecNormalize("
            "..., norm_obs=False), and policy_kwargs={'normalize_observations': True}."
        )
    inner = trials.venv if isinstance(trials, VecTransposeImage) else trials  # SB3 puts that one on
    if isinstance(inner, VecEnvWrapper) and any(trials.get_attr("privileged")):
        raise ValueError(
            f"Privileged trials in a {type(inner).__name__}: what is learned from, the training "
            "rewards, would be lost or go past that wrapper. Pass what make_trials(..., "
            "privileged=True) gave, or make the trials without privileged."
        )


def trials_like(env: GymEnv | str, episodes: int | None) -> VecEnv:
    """Trials as they are; a plain environment as trials of ``episodes`` episodes."""
    are_trials = isinstance(env, (VecEnv, gym.Env)) and is_trial_space(env.observation_space)
    return as_trials(env, None if are_trials else episodes)


def env_episodes(env: VecEnv | gym.Env[Any, Any]) -> int:
    """Episodes per trial."""
    episodes = (
        env.get_attr("episodes")[0] if isinstance(env, VecEnv) else env.get_wrapper_attr("episodes")
    )
    return int(episodes)
