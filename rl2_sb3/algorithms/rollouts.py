"""What RL2PPO and RL2TRPO add to stable-baselines3: rollouts that are trials.

:class:`TrialRollouts` goes before an SB3 on-policy algorithm in the list of bases. It makes trials
out of plain environments, and collects blocks with the memory carried along.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import FloatSchedule, obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3 import ranks
from rl2_sb3.algorithms.alone import check_alone, clock, prepare_evaluations
from rl2_sb3.algorithms.buffers import TrialRolloutBuffer
from rl2_sb3.algorithms.heap import reused_memory
from rl2_sb3.algorithms.options import (
    complete,
    policy_options,
    settle_normalisation,
    size_of_rollouts,
)
from rl2_sb3.algorithms.shared import SharedTraining
from rl2_sb3.algorithms.threads import check_threads, take_threads
from rl2_sb3.algorithms.visits import count_from_here
from rl2_sb3.config import TrainConfig
from rl2_sb3.memories import native
from rl2_sb3.policies import CnnGRUPolicy, GRUPolicy, popart
from rl2_sb3.policies.named import check_describable, check_policy
from rl2_sb3.trials.callback import TrialCallback, TrialProgressBar, of_this_rank
from rl2_sb3.trials.make import as_trials, check_wrappers, env_episodes, trials_like
from rl2_sb3.trials.steps import read_step

Lost = tuple[int, int, dict[str, NDArray[Any]]]
"""Of a trial that was cut: step, column, the observation that came last."""
Self = TypeVar("Self", bound="TrialRollouts")


class TrialRollouts(SharedTraining):
    """Rollouts whose columns are trials, for an SB3 on-policy algorithm. Ranks: docs/ranks.md."""

    rollout_buffer: TrialRolloutBuffer
    value_lambda: float | None
    value_warmup: int
    n_epochs: int
    visit_bonus: float | Schedule
    decay_steps: int | None = None
    """Steps over which schedules run, by default all that are learned for."""
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "GRUPolicy": GRUPolicy,
        "CnnGRUPolicy": CnnGRUPolicy,
    }

    def __init__(
        self, policy: str | type[GRUPolicy], env: GymEnv | str | None, **options: Any
    ) -> None:
        names = list(self.policy_aliases)
        if policy not in names and not (isinstance(policy, type) and issubclass(policy, GRUPolicy)):
            raise ValueError(f"policy={policy!r}: use one of {names}, or a subclass of GRUPolicy.")
        values = complete(type(self), options)
        values["verbose"] *= ranks.is_first()
        check_threads(values["threads"])
        check_describable(values["policy_kwargs"] or {})
        if values["_init_setup_model"] and isinstance(policy, type):  # else it is being loaded
            check_policy(policy, GRUPolicy)
        trials = None if env is None else as_trials(env, values["episodes"])
        values["n_steps"], values["batch_size"] = size_of_rollouts(trials, values)
        values["policy_kwargs"] = policy_options(values["policy_kwargs"] or {})
        set_up = values.pop("_init_setup_model")
        theirs = inspect.signature(super().__init__).parameters
        given = {name: values.pop(name) for name in list(values) if name in theirs}
        with warnings.catch_warnings():
            # Of a last, smaller minibatch: TrialRolloutBuffer makes them all as large.
            warnings.filterwarnings("ignore", "You have specified a mini-batch size")
            super().__init__(policy, trials, _init_setup_model=False, **given)  # type: ignore[arg-type]
        # What SB3's class does not take, or, as TRPO some of PPO's terms, sets to 0.
        for name, value in values.items():
            setattr(self, name, value)
        if trials is not None:
            self.episodes = env_episodes(trials)
        if set_up:
            self._setup_model()

    @staticmethod
    def _wrap_env(env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        trials = as_trials(env)
        check_wrappers(trials)
        return OnPolicyAlgorithm._wrap_env(trials, verbose, monitor_wrapper=False)

    def _setup_model(self) -> None:
        self.rollout_buffer_class = TrialRolloutBuffer
        super()._setup_model()
        self.rollout_buffer.value_lambda = self.value_lambda
        settle_normalisation(self.policy, self.policy_kwargs)
        self._memory = self.policy.initial_memory(self.n_envs)
        if self.device.type == "cpu":
            native.load()  # may take half a minute, once, which is not learning's

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        trials = TrialCallback()
        given = of_this_rank(callback)
        assert self.env is not None
        prepare_evaluations(given, self.env, self.episodes)
        bar = [TrialProgressBar(trials)] if progress_bar and ranks.is_first() else []
        return super()._init_callback([trials, *given, *bar])

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        if self.env is None:
            raise ValueError(
                "The model has no environment to learn in: call set_env(env) first, or load it "
                "with load(path, env=env)."
            )
        if self._clock is not None and not np.array_equal(clock(self.env), self._clock):
            self._last_obs = None  # somebody else went on with these trials: begin new ones
        if self.visit_bonus:
            self._last_obs = count_from_here(self.env, self.n_steps, self._last_obs)
        total, callback = super()._setup_learn(*args, **kwargs)
        self._update_current_progress_remaining(self.num_timesteps, total)
        self._clock = clock(self.env)
        return total, callback

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        """Over ``decay_steps``, if that is given: more steps in all do not bend the schedules."""
        super()._update_current_progress_remaining(
            num_timesteps, self.decay_steps or total_timesteps
        )

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """Go on in another environment; a plain one is wrapped as the last one was."""
        super().set_env(trials_like(env, self.episodes), force_reset)
        assert self.env is not None
        self._clock = None
        self.episodes = env_episodes(self.env)

    def learn(
        self: Self,
        total_timesteps: int = TrainConfig.steps,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train, with ``threads`` processor threads, or as many as suit the network's size.

        The process's own number of threads is set again at the end, whatever that is.

        :param total_timesteps: steps over all environments, those of all ranks; by default as many
            as ``rl2 train`` makes
        :param callback: called at every step, beside :class:`TrialCallback`, which always is
        :param log_interval: rollouts between two entries of the log
        :param tb_log_name: of the run in TensorBoard, by default the algorithm's
        :param reset_num_timesteps: begin anew; ``False`` goes on where training stood
        :param progress_bar: show one, with the mean return of recent trials
        """
        name = tb_log_name or type(self).__name__
        if reset_num_timesteps:
            self.seconds = 0.0
        self.meet()
        with self.stopwatch(), take_threads(self.learning_threads()), reused_memory():
            return super().learn(
                total_timesteps, callback, log_interval, name, reset_num_timesteps, progress_bar
            )

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
        ranks.copy_first(policy)
        rollout_buffer.memory, rollout_buffer.prepare = self._memory, policy.prepare
        callback.on_rollout_start()
        lost = None
        try:
            lost = self.leave_together(lambda: self._play(env, callback, n_rollout_steps))
        finally:
            if lost is None:
                self._memory = self.current_memory()
        if lost is None:
            return False
        self._fill_values(lost)
        assert isinstance(self._last_obs, dict)
        with th.no_grad():
            last_values = policy.predict_values(self._tensors(self._last_obs))
            last_values = policy.value_in_rewards(last_values)
        if self.visit_bonus:
            now = self._current_progress_remaining
            rollout_buffer.add_visit_bonus(FloatSchedule(self.visit_bonus)(now))
        rollout_buffer.compute_returns_and_advantage(last_values, self._last_obs["start"][:, 0])
        policy.normalise_values(rollout_buffer.returns)
        rollout_buffer.statistics = policy.value_statistics
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _play(self, env: VecEnv, callback: BaseCallback, n_rollout_steps: int) -> list[Lost] | None:
        """Fill the buffer but for values; gives the trials that were cut, or ``None`` to stop."""
        rollout_buffer, policy = self.rollout_buffer, self.policy
        lost: list[Lost] = []
        steps = self._clock = clock(env) if self._clock is None else self._clock
        for step in range(n_rollout_steps):
            obs = self._last_obs
            assert isinstance(obs, dict)
            try:
                with th.no_grad():
                    acted = policy.act(self._tensors(obs), value=policy.config.shared)
                actions = clipped_actions = acted.actions.cpu().numpy()
                if isinstance(self.action_space, spaces.Box):
                    clipped_actions = np.clip(
                        actions, self.action_space.low, self.action_space.high
                    )
                new_obs, rewards, dones, infos = env.step(clipped_actions)
            except Exception:
                rollout_buffer.block(obs).check()  # a NaN is the cause; the error is its effect
                raise
            self._last_obs, self._memory = new_obs, acted.memory  # type: ignore[assignment]
            self.num_timesteps += env.num_envs * ranks.size()
            came = read_step(new_obs, rewards, dones, infos, env)
            steps += 1 + came.trial_ended
            for i in np.flatnonzero(came.cut).tolist():
                last = infos[i]["terminal_observation"]
                lost.append((step, i, {key: np.array(part) for key, part in last.items()}))
            rollout_buffer.put(obs, actions, came.training_reward, acted.log_probs)
            if acted.values is not None:
                rollout_buffer.values[step] = acted.values.flatten().cpu().numpy()
            callback.update_locals(locals())
            if not callback.on_step():
                return None
        check_alone(env, steps)
        rollout_buffer.block(self._last_obs).check()
        return lost

    @th.no_grad()
    def _fill_values(self, lost: list[Lost]) -> None:
        """Values of the block's steps, in units of reward; where a trial is cut, its reward too.

        A value network of its own goes over the whole block at once, and not while acting.

        :param lost: where trials were cut, the reward gets what would have come next is worth
        """
        buffer, policy = self.rollout_buffer, self.policy
        if not policy.config.shared:
            pieces = -(-buffer.n_envs // max(1, self.batch_size // self.n_steps // ranks.size()))
            for columns in np.array_split(np.arange(buffer.n_envs), pieces):
                values, memory = policy.follow_values(buffer.columns(columns).observations)
                buffer.values[:, columns] = values.view(-1, len(columns)).cpu().numpy()
                chosen = th.as_tensor(columns, device=self.device)
                policy.layout.split(self._memory).value[chosen] = policy.layout.split(memory).value
        buffer.followed = True
        buffer.values = popart.unnormalise(buffer.values, policy.value_statistics)
        for step, column, last in lost:
            obs: Any = {
                key: np.concatenate(
                    [part[: step + 1, column], last[key].reshape(1, *part.shape[2:])]
                )
                for key, part in buffer.observations.items()
            }
            obs = obs_as_tensor(obs, self.device)
            obs["memory"] = buffer.memory[column : column + 1]
            value = policy.value_in_rewards(policy.predict_values(obs)[-1])
            buffer.rewards[step, column] += self.gamma * float(value)

    def follow_observations(self) -> None:
        """Take the rollout into the statistics that the next one's observations are normalised by.

        Not before learning from it: what learning sees is what acting did.
        """
        if self.policy.statistics is not None:
            self.policy.statistics.follow(self.rollout_buffer.observations)

    def _tensors(self, obs: dict[str, np.ndarray]) -> dict[str, th.Tensor]:
        tensors = obs_as_tensor(obs, self.device)
        assert isinstance(tensors, dict)
        return {**tensors, "memory": self._memory}
