"""How training is saved, loaded and gone on with, its trials and their memory among the rest."""

from __future__ import annotations

import io
import os
import pathlib
import pickle
import time
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, TypeVar, cast

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import check_for_correct_spaces
from stable_baselines3.common.vec_env import SubprocVecEnv

from rl2_sb3.agent_file import save_agent
from rl2_sb3.algorithms.alone import Clock, clock
from rl2_sb3.algorithms.buffers import TrialRolloutBuffer
from rl2_sb3.algorithms.finite import not_finite
from rl2_sb3.algorithms.threads import Threads, check_threads, sensible_threads
from rl2_sb3.files import replace_whole
from rl2_sb3.policies import GRUPolicy, earlier
from rl2_sb3.trials.make import env_episodes, trials_like
from rl2_sb3.trials.steps import normalised

Self = TypeVar("Self", bound="SavedTraining")

FORMAT = 2
"""Of checkpoints; 1: the policy's options had other defaults."""
NEEDED = ("observation_space", "action_space", "policy_kwargs", "n_envs", "episodes")
"""Attributes that a checkpoint cannot do without."""
IN_A_ROLLOUT = (
    *("num_timesteps", "_last_obs", "_last_episode_starts", "ep_info_buffer"),
    "ep_success_buffer",
)
"""Attributes that change while a rollout is collected; the others change at its end."""
_DAMAGED = (
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    EOFError,
    RuntimeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


class SavedTraining(OnPolicyAlgorithm):
    """An on-policy algorithm on trials whose file holds everything that training depends on."""

    policy: GRUPolicy
    rollout_buffer: TrialRolloutBuffer
    episodes: int | None
    batch_size: int
    threads: int | None
    """Of the processor, to learn with; None: chosen by the network's size."""
    seconds: float = 0.0
    """Wall-clock seconds of training, those before a resumption among them."""
    history: tuple[dict[str, Any], ...] = ()
    """Runs that the weights come from: steps, seconds and episodes per trial of each."""
    resume_state: dict[str, Any]
    _since: float | None = None
    _memory: th.Tensor
    _clock: Clock | None = None
    """Steps and resets of the trials after our last step; None: they have not been counted."""

    def learning_threads(self) -> Threads:
        """How many processor threads learning takes: ``threads``, or by the network's size."""
        return sensible_threads(self.policy, self.batch_size // self.n_steps, self.threads)

    def current_memory(self) -> th.Tensor:
        """The memory after the last step, ``(columns, memory_size)``.

        A value network of its own goes over a rollout at its end; within one, its part of the
        memory is made up for here.
        """
        buffer, policy, memory = self.rollout_buffer, self.policy, self._memory
        if policy.config.shared or buffer.followed or buffer.pos == 0:
            return memory
        obs: Any = {
            key: th.as_tensor(part[: buffer.pos].reshape(-1, *part.shape[2:]), device=self.device)
            for key, part in buffer.observations.items()
        }
        with th.no_grad():
            _, followed = policy.follow_values({**obs, "memory": buffer.memory})
        value = policy.layout.split(followed).value
        return policy.layout.split(memory)._replace(value=value).join()

    @contextmanager
    def stopwatch(self) -> Iterator[None]:
        """Count the seconds of training."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._count_seconds()
            self._since = None

    def _count_seconds(self) -> None:
        if self._since is not None:
            now = time.monotonic()
            self.seconds, self._since = self.seconds + now - self._since, now

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        """SB3's; the time that is logged goes on from that of before."""
        total, callback = super()._setup_learn(*args, **kwargs)
        self.start_time -= int(self.seconds * 1e9)
        self._num_timesteps_at_start = 0
        return total, callback

    def dump_logs(self, iteration: int = 0) -> None:
        """Write the log, with the number of rollouts in all."""
        super().dump_logs(iteration and self.num_timesteps // (self.n_steps * self.n_envs))

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_memory", "_since", "_clock"]

    def save(
        self,
        path: str | pathlib.Path | io.BufferedIOBase,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
        exact: bool = False,
    ) -> None:
        """Save the model and all that training depends on; see :meth:`load`.

        A file is written beside its final place and moved there when it is whole, so that a kill
        at any moment leaves the last good one. Where the environment is closed or dead, a warning
        says that training cannot go on from the file exactly, but with new trials.

        :param exact: raise there instead, and leave the file that was there
        :raises OSError: see ``exact``; or the file cannot be written
        :raises EOFError: see ``exact``
        :raises ValueError: a parameter is not finite; an earlier file stays as it is
        """
        self.resume_state = self._get_resume_state(exact=exact)
        self._write(path, exclude, include)

    def _write(
        self,
        path: str | pathlib.Path | io.BufferedIOBase,
        exclude: Iterable[str] | None,
        include: Iterable[str] | None,
    ) -> None:
        spoiled = not_finite(self.policy, self.policy.optimizer)
        if spoiled is not None:
            raise ValueError(
                f"{spoiled} is not finite, so the model is not saved, and what was saved before "
                "is as it was: rewards or observations are too large, or learning diverged (a "
                "smaller learning_rate or max_grad_norm helps)."
            )
        self._count_seconds()
        if isinstance(path, io.IOBase):
            super().save(path, exclude, include)
            return
        assert not isinstance(path, io.BufferedIOBase)
        final = pathlib.Path(path)
        final = final if final.suffix else final.with_suffix(".zip")
        save = super().save
        replace_whole(final, lambda file: save(cast(Any, file), exclude, include))

    def save_agent(self, path: str | os.PathLike[str], **info: Any) -> None:
        """Write the acting part of the policy, for :func:`rl2_sb3.load_agent`.

        :param info: what is worth knowing beside steps and seconds, those of earlier runs among
            them, and episodes per trial; ``rl2 evaluate`` wants ``task="bandit"`` and
            ``options={"arms": 5}``
        """
        known: dict[str, Any] = {
            "steps": self.num_timesteps + sum(run["steps"] for run in self.history),
            "seconds": round(self.seconds + sum(run["seconds"] for run in self.history)),
            "episodes": self.episodes,
        }
        if self.history:
            known["history"] = self.history
        save_agent(self.policy, path, **{**known, **info})

    def mark(self, trials: list[Any] | None = None) -> dict[str, Any]:
        """Where training stands between two rollouts, for :meth:`save_marked`.

        :param trials: the states of the environments, which are asked where this is not given
        :raises OSError: the environments do not answer
        :raises EOFError: the same
        """
        marked = {name: copy(getattr(self, name)) for name in IN_A_ROLLOUT}
        return {**marked, "resume_state": self._get_resume_state(trials, exact=True)}

    def save_marked(self, path: str | pathlib.Path, mark: dict[str, Any]) -> None:
        """Save the model as it was at the beginning of the rollout in progress.

        That rollout is lost, and so is this model for further training. The environments, which may
        be dead, are not asked.

        :param mark: what :meth:`mark` gave; there must have been no update since
        """
        for name, value in mark.items():
            setattr(self, name, value)
        self._write(path, None, None)

    def take_up_log(self) -> None:
        """Tell the logger what it had been told, but had not written, when the model was saved."""
        values, counts, excluded = self.resume_state.get("log", ({}, {}, {}))
        self.logger.name_to_value.update(values)
        self.logger.name_to_count.update(counts)
        self.logger.name_to_excluded.update(excluded)

    def _get_resume_state(
        self, trials: list[Any] | None = None, exact: bool = False
    ) -> dict[str, Any]:
        state: dict[str, Any] = {
            "format": FORMAT,
            "algorithm": type(self).__name__,
            "torch_rng": th.get_rng_state().numpy(),
            "memory": self.current_memory().cpu().numpy().copy(),
        }
        if hasattr(self, "_logger"):
            log = self.logger
            state["log"] = (
                *(dict(log.name_to_value), dict(log.name_to_count)),
                dict(log.name_to_excluded),
            )
        if self.device.type == "cuda":
            state["cuda_rng"] = th.cuda.get_rng_state(self.device).numpy()
        if trials is None and self.env is not None:
            trials = self._get_trials(exact)
        if trials is not None:
            state["trials"] = trials
        scaled = normalised(self.env)
        if scaled is not None:
            state["reward_scale"] = {"returns": scaled.returns, **vars(scaled.ret_rms)}
        return state

    def _get_trials(self, exact: bool) -> list[Any] | None:
        """Where the trials stand; None where nobody can tell, or where others have moved them."""
        assert self.env is not None
        inner = self.env.unwrapped
        try:
            if isinstance(inner, SubprocVecEnv) and inner.waiting:
                raise EOFError("a step is not over")  # what comes first would be its results
            if self._clock is not None and not np.array_equal(clock(self.env), self._clock):
                return None
            trials: list[Any] = self.env.env_method("get_state")
        except (OSError, EOFError) as error:
            if exact:
                raise
            warnings.warn(
                f"Saved without its trials, since the environment does not answer ({error}): load "
                "it with force_reset=True, which begins new ones.",
                stacklevel=4,
            )
            return None
        return trials

    def _set_resume_state(self, state: dict[str, Any]) -> None:
        assert self.env is not None
        if "trials" not in state:
            raise ValueError(
                "It was saved without its trials (without an environment, or with one that was "
                "closed, had died or was stepped by others): use force_reset=True, which begins "
                "new ones."
            )
        self.env.env_method("reset")  # a Monitor around the trials steps no other ones
        same = [
            all(self.env.env_method("set_state", trials, indices=[column]))
            for column, trials in enumerate(state["trials"])
        ]
        if not all(same):
            warnings.warn(
                f"{same.count(False)} of {len(same)} environments do not do the same again with "
                "the same seed and actions: all trials begin anew, and the run is not exactly the "
                "one that was interrupted.",
                stacklevel=3,
            )
            self._last_obs = None
        scaled = normalised(self.env)
        if scaled is not None and "reward_scale" in state:
            statistics = dict(state["reward_scale"])
            scaled.returns = statistics.pop("returns")
            vars(scaled.ret_rms).update(statistics)
        self._memory = th.as_tensor(state["memory"], device=self.device)
        th.set_rng_state(th.as_tensor(state["torch_rng"]))
        if self.device.type == "cuda" and "cuda_rng" in state:
            th.cuda.set_rng_state(th.as_tensor(state["cuda_rng"]), self.device)
        self._clock = clock(self.env)

    @classmethod
    def load(
        cls: type[Self],
        path: str | pathlib.Path | io.BufferedIOBase,
        env: GymEnv | str | None = None,
        device: th.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Load a model that :meth:`save` wrote. It is unpickled: trust who wrote it.

        :param env: to go on training in; a plain one is wrapped as the saved model's was
        :param force_reset: begin with new trials. ``False`` goes on where the saved model stood:
            tasks, memory and noise; on the CPU, with as many threads, bit for bit.
        :param kwargs: attributes to change, such as ``threads=2``
        :raises ValueError: not such a file, or one for other spaces, or for another number of
            environments with ``force_reset=False``, or ``threads`` that are none
        """
        data = _read(path, cls.__name__, custom_objects)
        policy_kwargs = {**earlier.ABSENT, **data["policy_kwargs"]}
        if data["resume_state"].get("format", 1) < FORMAT:
            policy_kwargs = {**earlier.DEFAULTS, **policy_kwargs}
        if policy_kwargs != data["policy_kwargs"]:
            custom_objects = {"policy_kwargs": policy_kwargs, **(custom_objects or {})}
        trials = None
        if env is not None:
            trials = cls._wrap_env(trials_like(env, data["episodes"]))
            try:
                check_for_correct_spaces(trials, data["observation_space"], data["action_space"])
            except ValueError as error:
                raise ValueError(f"{path} was trained on another environment. {error}") from error
            if not force_reset and trials.num_envs != data["n_envs"]:
                raise ValueError(
                    f"{path} was saved with n_envs={data['n_envs']}, got {trials.num_envs}: use as "
                    "many, or force_reset=True to begin new trials."
                )
        try:
            model = super().load(
                path, trials, device, custom_objects, print_system_info, force_reset, **kwargs
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"{path} is a damaged checkpoint: {reason}") from error
        check_threads(model.threads)
        if trials is not None:
            model.episodes = env_episodes(trials)
            if not force_reset:
                model._set_resume_state(model.resume_state)
        return model


def _read(path: Any, wanted: str, custom_objects: dict[str, Any] | None) -> dict[str, Any]:
    """The attributes in a saved model's file."""
    try:
        data, _, _ = load_from_zip_file(path, device="cpu", custom_objects=custom_objects)
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a checkpoint, or a damaged one: {error}") from error
    if data is None or not isinstance(data.get("resume_state"), dict):
        raise ValueError(
            f"{path} is not a checkpoint of {wanted}, or a damaged one: it holds no trials."
        )
    missing = [name for name in NEEDED if name not in data]
    if missing:
        raise ValueError(f"{path} is a damaged checkpoint: it has no {missing[0]}.")
    if not isinstance(data["policy_kwargs"], dict):
        raise ValueError(f"{path} is a damaged checkpoint: {data['policy_kwargs']!r} for a policy.")
    algorithm = data["resume_state"].get("algorithm")
    if algorithm != wanted:
        raise ValueError(f"{path} is a checkpoint of {algorithm}: use {algorithm}.load.")
    return data
