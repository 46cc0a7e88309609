"""What RL2PPO and RL2TRPO add to stable-baselines3: rollouts that are trials.

:class:`TrialRollouts` goes before an SB3 on-policy algorithm in the list of bases. It makes trials
out of plain environments, collects blocks with the memory carried along, and saves and restores
everything that training depends on.
"""

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
from typing import Any, ClassVar, TypeVar

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.utils import check_for_correct_spaces, obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecTransposeImage

from rl2_sb3.agent import save_agent
from rl2_sb3.algorithms.buffers import TrialRolloutBuffer
from rl2_sb3.policies import CnnGRUPolicy, GRUPolicy
from rl2_sb3.trials.batched import TrialInfos
from rl2_sb3.trials.callback import TrialCallback, TrialProgressBar
from rl2_sb3.trials.make import as_trials, env_episodes, seed_trials
from rl2_sb3.trials.spaces import is_trial_space
from rl2_sb3.trials.wrapper import lost_trials

Self = TypeVar("Self", bound="TrialRollouts")

_DAMAGED = (
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


class TrialRollouts(OnPolicyAlgorithm):
    """Rollouts whose columns are trials; to be mixed into an SB3 on-policy algorithm."""

    policy: GRUPolicy
    rollout_buffer: TrialRolloutBuffer
    episodes: int | None
    value_lambda: float | None
    seconds: float = 0.0
    """Wall-clock seconds of training, those before a resumption among them."""
    history: tuple[dict[str, Any], ...] = ()
    """Runs that the weights come from: steps, seconds and episodes per trial of each."""
    _since: float | None = None
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "GRUPolicy": GRUPolicy,
        "CnnGRUPolicy": CnnGRUPolicy,
    }

    def __init__(self, policy: str | type[GRUPolicy], env: VecEnv | None, **options: Any):
        names = list(self.policy_aliases)
        if policy not in names and not (isinstance(policy, type) and issubclass(policy, GRUPolicy)):
            raise ValueError(f"policy={policy!r}: use one of {names}, or a subclass of GRUPolicy.")
        with warnings.catch_warnings():
            # Of a last, smaller minibatch: TrialRolloutBuffer makes them all as large.
            warnings.filterwarnings("ignore", "You have specified a mini-batch size")
            super().__init__(policy, env, **options)  # type: ignore[arg-type]
        if env is not None:
            self.episodes = env_episodes(env)

    @staticmethod
    def _wrap_env(env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        trials = as_trials(env)
        _check_privileged(trials)
        return OnPolicyAlgorithm._wrap_env(trials, verbose, monitor_wrapper=False)

    def _setup_model(self) -> None:
        self.rollout_buffer_class = TrialRolloutBuffer
        super()._setup_model()
        self.rollout_buffer.value_lambda = self.value_lambda
        self._memory = self.policy.initial_memory(self.n_envs)

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed everything, the trials so that those of two seeds have nothing in common."""
        super().set_random_seed(seed)
        if seed is not None and self.env is not None:
            seed_trials(self.env, seed)

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        trials = TrialCallback()
        if not isinstance(callback, (list, BaseCallback)):
            callback = ConvertCallback(callback)
        given = callback if isinstance(callback, list) else [callback]
        bar = [TrialProgressBar(trials)] if progress_bar else []
        return super()._init_callback([trials, *given, *bar])

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """Go on in another environment; a plain one is wrapped as the last one was."""
        super().set_env(_as_trials(env, self.episodes), force_reset)
        assert self.env is not None
        self.episodes = env_episodes(self.env)

    def learn(
        self: Self,
        total_timesteps: int | None = None,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train.

        :param total_timesteps: steps over all environments; by default 100 rollouts
        :param callback: called at every step, beside :class:`TrialCallback`, which always is
        :param log_interval: rollouts between two entries of the log
        :param tb_log_name: of the run in TensorBoard, by default the algorithm's
        :param reset_num_timesteps: begin anew; ``False`` goes on where training stood
        :param progress_bar: show one, with the mean return of recent trials
        """
        if total_timesteps is None:
            total_timesteps = 100 * self.n_steps * self.n_envs
        name = tb_log_name or type(self).__name__
        if reset_num_timesteps:
            self.seconds = 0.0
        with self.stopwatch():
            return super().learn(
                total_timesteps, callback, log_interval, name, reset_num_timesteps, progress_bar
            )

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

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Fill the buffer with a block of ``n_rollout_steps`` x ``n_envs`` steps.

        A trial's end is a true end: nothing is bootstrapped past it. Where the block ends inside
        a trial, or the trial is lost, the value of the next step is.
        """
        assert isinstance(rollout_buffer, TrialRolloutBuffer)
        policy = self.policy
        policy.set_training_mode(False)
        rollout_buffer.reset()
        rollout_buffer.memory = self._memory
        callback.on_rollout_start()
        for _ in range(n_rollout_steps):
            obs = self._last_obs
            assert isinstance(obs, dict)
            with th.no_grad():
                acted = policy.act(self._tensors(obs))
            actions = acted.actions.cpu().numpy()
            clipped_actions = actions
            if isinstance(self.action_space, spaces.Box):
                clipped_actions = np.clip(actions, self.action_space.low, self.action_space.high)
            new_obs, rewards, dones, infos = env.step(clipped_actions)
            self._last_obs, self._memory = new_obs, acted.memory  # type: ignore[assignment]
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            learned_from = _with_expected(rewards, infos)
            learned_from = self._with_lost_values(learned_from, dones, infos)
            rollout_buffer.add(
                obs,
                actions,
                learned_from,
                obs["start"][:, 0],
                policy.value_in_rewards(acted.values),
                acted.log_probs,
            )
        assert isinstance(self._last_obs, dict)
        with th.no_grad():
            last_values = policy.value_in_rewards(
                policy.predict_values(self._tensors(self._last_obs))
            )
        rollout_buffer.compute_returns_and_advantage(last_values, dones)
        policy.normalise_values(rollout_buffer.returns)
        rollout_buffer.scale = float(policy.value_scale)
        rollout_buffer.shift = float(policy.value_shift)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _with_lost_values(self, rewards: Any, dones: Any, infos: Any) -> Any:
        """Rewards; where a trial is cut, with the value of the step that would have come next."""
        columns = np.flatnonzero(lost_trials(dones, infos))
        if not len(columns):
            return rewards
        last = [infos[column]["terminal_observation"] for column in columns]
        obs: Any = obs_as_tensor({k: np.stack([o[k] for o in last]) for k in last[0]}, self.device)
        obs["memory"] = self._memory[th.as_tensor(columns, device=self.device)]
        with th.no_grad():
            values = self.policy.value_in_rewards(self.policy.predict_values(obs))
        rewards = np.array(rewards)
        rewards[columns] += self.gamma * values.cpu().numpy().flatten()
        return rewards

    def _tensors(self, obs: dict[str, np.ndarray]) -> dict[str, th.Tensor]:
        tensors = obs_as_tensor(obs, self.device)
        assert isinstance(tensors, dict)
        return {**tensors, "memory": self._memory}

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_memory", "_since"]

    def save(
        self,
        path: str | pathlib.Path | io.BufferedIOBase,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """Save the model and all that training depends on; see :meth:`load`.

        A file is written beside its final place and moved there when it is whole, so that a kill
        at any moment leaves the last good one.
        """
        self._count_seconds()
        self.resume_state = self._get_resume_state()
        if isinstance(path, io.IOBase):
            super().save(path, exclude, include)
            return
        final = pathlib.Path(path)
        final = final if final.suffix else final.with_suffix(".zip")
        final.parent.mkdir(parents=True, exist_ok=True)
        part = final.with_name(f"{final.name}.part")
        with part.open("wb") as file:
            super().save(file, exclude, include)
            file.flush()
            os.fsync(file.fileno())
        part.replace(final)

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

    def _get_resume_state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "algorithm": type(self).__name__,
            "torch_rng": th.get_rng_state().numpy(),
            "memory": self._memory.cpu().numpy(),
        }
        if self.device.type == "cuda":
            state["cuda_rng"] = th.cuda.get_rng_state(self.device).numpy()
        if self.env is not None:
            state["trials"] = self.env.env_method("get_state")
        return state

    def _set_resume_state(self, state: dict[str, Any]) -> None:
        assert self.env is not None
        if "trials" not in state:
            raise ValueError("It was saved without an environment: use force_reset=True.")
        self.env.env_method("reset")  # a Monitor around the trials steps no other ones
        for column, trials in enumerate(state["trials"]):
            self.env.env_method("set_state", trials, indices=[column])
        self._memory = th.as_tensor(state["memory"], device=self.device)
        th.set_rng_state(th.as_tensor(state["torch_rng"]))
        if self.device.type == "cuda" and "cuda_rng" in state:
            th.cuda.set_rng_state(th.as_tensor(state["cuda_rng"]), self.device)

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
            tasks, memory and noise; on the CPU, bit for bit.
        :raises ValueError: not such a file, or one for other spaces, or for another number of
            environments with ``force_reset=False``
        """
        data = _read(path, cls.__name__, custom_objects)
        trials = None
        if env is not None:
            trials = cls._wrap_env(_as_trials(env, data["episodes"]))
            try:
                check_for_correct_spaces(trials, data["observation_space"], data["action_space"])
            except ValueError as error:
                raise ValueError(f"{path} was trained on another environment. {error}") from error
            if not force_reset and trials.num_envs != data["n_envs"]:
                raise ValueError(
                    f"{path} was saved with n_envs={data['n_envs']}, got {trials.num_envs}: use as "
                    "many, or force_reset=True to begin new trials."
                )
        model = super().load(
            path, trials, device, custom_objects, print_system_info, force_reset, **kwargs
        )
        if trials is not None:
            model.episodes = env_episodes(trials)
            if not force_reset:
                model._set_resume_state(model.resume_state)
        return model


def _with_expected(rewards: Any, infos: Any) -> Any:
    """Rewards; where trials are privileged, what is told to learn from in their place."""
    if isinstance(infos, TrialInfos):
        return rewards if infos.expected_reward is None else infos.expected_reward
    told = [
        info.get("expected_reward", reward) for info, reward in zip(infos, rewards, strict=True)
    ]
    return np.array(told, np.float32)


def _as_trials(env: GymEnv | str, episodes: int | None) -> VecEnv:
    """Trials as they are; a plain environment as trials of ``episodes`` episodes."""
    are_trials = isinstance(env, (VecEnv, gym.Env)) and is_trial_space(env.observation_space)
    return as_trials(env, None if are_trials else episodes)


def _check_privileged(trials: VecEnv) -> None:
    """Raise a ValueError where a wrapper would change or lose the expected rewards."""
    inner = trials.venv if isinstance(trials, VecTransposeImage) else trials  # SB3 puts that one on
    if isinstance(inner, VecEnvWrapper) and any(trials.get_attr("privileged")):
        raise ValueError(
            f"Privileged trials in a {type(inner).__name__}: what is learned from, the expected "
            "rewards, does not pass through a wrapper. Pass what make_trials(..., privileged=True) "
            "gave, or make the trials without privileged."
        )


def _read(path: Any, wanted: str, custom_objects: dict[str, Any] | None) -> dict[str, Any]:
    """The attributes in a saved model's file."""
    try:
        data, _, _ = load_from_zip_file(path, device="cpu", custom_objects=custom_objects)
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a checkpoint, or a damaged one: {error}") from error
    if data is None or "resume_state" not in data:
        raise ValueError(
            f"{path} is not a checkpoint of {wanted}, or a damaged one: it holds no trials."
        )
    algorithm = data["resume_state"]["algorithm"]
    if algorithm != wanted:
        raise ValueError(f"{path} is a checkpoint of {algorithm}: use {algorithm}.load.")
    return data
