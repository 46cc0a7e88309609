"""How training is saved, loaded and gone on with, its trials and their memory among the rest."""

from __future__ import annotations

import io
import os
import pathlib
import pickle
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import check_for_correct_spaces

from rl2_sb3 import pooled, ranks
from rl2_sb3.agent_file import save_agent
from rl2_sb3.algorithms.finite import not_finite
from rl2_sb3.algorithms.resuming import FORMAT, ResumedTraining
from rl2_sb3.algorithms.threads import Threads, check_threads, sensible_threads
from rl2_sb3.algorithms.updates import Figures
from rl2_sb3.files import replace_whole
from rl2_sb3.policies import earlier
from rl2_sb3.trials.make import env_episodes, trials_like
from rl2_sb3.trials.sizes import rollout_size

Self = TypeVar("Self", bound="SavedTraining")

NEEDED = ("observation_space", "action_space", "policy_kwargs", "n_envs", "episodes")
"""Attributes that a checkpoint cannot do without."""
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


class SavedTraining(ResumedTraining):
    """An on-policy algorithm on trials whose file holds everything that training depends on."""

    episodes: int | None
    batch_size: int
    threads: int | None
    """Of the processor, to learn with; None: chosen by the network's size."""
    seconds: float = 0.0
    """Wall-clock seconds of training, those before a resumption among them."""
    history: tuple[dict[str, Any], ...] = ()
    """Runs that the weights come from: steps, seconds and episodes per trial of each."""
    _since: float | None = None

    def learning_threads(self) -> Threads:
        """How many processor threads learning takes: ``threads``, or by the network's size."""
        columns = self.batch_size // self.n_steps // ranks.size()
        return sensible_threads(self.policy, columns, self.threads)

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
        """SB3's; the time that is logged goes on from that of before. The first rank logs."""
        if not ranks.is_first():
            self.verbose = 0
            self.set_logger(Logger(None, []))
        total, callback = super()._setup_learn(*args, **kwargs)
        self.start_time -= int(self.seconds * 1e9)
        self._num_timesteps_at_start = 0
        return total, callback

    def dump_logs(self, iteration: int = 0) -> None:
        """Write the log, with the number of rollouts in all."""
        ranks.record(self.logger)
        steps = self.n_steps * self.n_envs * ranks.size()
        super().dump_logs(iteration and self.num_timesteps // steps)

    def log_update(self, figures: Figures) -> None:
        """Log an update under ``train/``."""
        for name, value in figures._asdict().items():
            self.logger.record(f"train/{name}", value)
        self.log_state()

    def log_state(self) -> None:
        """Log what the values explain of the returns, and how many updates there were."""
        buffer = self.rollout_buffer
        explained = pooled.explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        self.logger.record("train/explained_variance", explained)
        if hasattr(self.policy, "log_std"):
            self.logger.record("train/std", self.policy.log_std.exp().mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_memory", "_since", "_clock", "stopped"]

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

        The first of several ranks writes, and knows of its own trials alone, unless ``exact``.

        :param exact: raise there instead, and leave the file that was there; all ranks have to call
            this then, and the file holds where each of them stands
        :raises OSError: see ``exact``; or the file cannot be written
        :raises EOFError: see ``exact``
        :raises ValueError: a parameter is not finite; an earlier file stays as it is
        """
        self.resume_state = self._get_resume_state(exact=exact)
        if exact:
            self.gather_states()
            ranks.together(lambda: self._write(path, exclude, include), first_alone=True)
        elif ranks.is_first():
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
        """Write the acting part of the policy, for :func:`rl2_sb3.load_agent`; the first rank does.

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
        if ranks.size() > 1:
            known["ranks"] = ranks.size()
        if not ranks.is_first():
            return
        save_agent(self.policy, path, **{**known, **info})

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
            tasks, memory and noise; on the CPU, with as many threads, bit for bit. On more or
            fewer ranks than before trials begin anew, and a note says so.
        :param kwargs: attributes to change, such as ``threads=2``
        :raises ValueError: not such a file, or one for other spaces, or for another number of
            environments with ``force_reset=False``, or ``threads`` that are none
        """
        data = _read(path, cls.__name__, custom_objects)
        saved_on = data["resume_state"].get("ranks", 1)
        go_on = not force_reset and saved_on == ranks.size()
        if not (go_on or force_reset):
            _tell_of_other_ranks(path, saved_on)
        policy_kwargs = {**earlier.ABSENT, **data["policy_kwargs"]}
        if data["resume_state"].get("format", 1) < FORMAT:
            policy_kwargs = {**earlier.DEFAULTS, **policy_kwargs}
        if policy_kwargs != data["policy_kwargs"]:
            custom_objects = {"policy_kwargs": policy_kwargs, **(custom_objects or {})}
        trials = None if env is None else cls._wrap_env(trials_like(env, data["episodes"]))
        if trials is not None:
            try:
                check_for_correct_spaces(trials, data["observation_space"], data["action_space"])
            except ValueError as error:
                raise ValueError(f"{path} was trained on another environment. {error}") from error
            if go_on and trials.num_envs != data["n_envs"]:
                raise ValueError(
                    f"{path} was saved with n_envs={data['n_envs']}, got {trials.num_envs}: use as "
                    "many, or force_reset=True to begin new trials."
                )
        try:
            model = super().load(
                path, trials, device, custom_objects, print_system_info, not go_on, **kwargs
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            kind = type(error).__name__
            raise ValueError(f"{path} is a damaged checkpoint: {kind}: {error}") from error
        check_threads(model.threads)
        if trials is not None:
            rollout_size(trials, model.n_steps, model.batch_size)  # or an error
            model.episodes = env_episodes(trials)
            if go_on:
                model.take_own_state()
                model._set_resume_state(model.resume_state)
            elif not force_reset:
                model.begin_other_trials()
        return model


def _tell_of_other_ranks(path: Any, saved_on: int) -> None:
    """Say what differs where training goes on with more or fewer ranks."""
    if ranks.is_first():
        print(
            f"Note: {path} was saved on {saved_on} rank(s), now there are {ranks.size()}: weights, "
            "optimiser, statistics, steps and schedules are as they were; all trials begin anew, "
            "with other tasks and noise: the run is not exactly the one that was interrupted.",
            file=sys.stderr,
        )


def _read(path: Any, wanted: str, custom_objects: dict[str, Any] | None) -> dict[str, Any]:
    """The attributes in a saved model's file."""
    try:
        data, _, _ = load_from_zip_file(path, device="cpu", custom_objects=custom_objects)
    except _DAMAGED as error:
        if str(path).endswith(".safetensors"):
            raise ValueError(
                f"{path} is an agent's file, no checkpoint: use load_agent."
            ) from error
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
