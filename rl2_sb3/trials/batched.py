"""Thousands of trials at once, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3.tasks.base import BatchedTasks, put, take
from rl2_sb3.tasks.step_info import metric_flaw
from rl2_sb3.trials import checks
from rl2_sb3.trials.infos import TrialInfos
from rl2_sb3.trials.parts import BATCHED_RESET, BATCHED_STEP, read_parts
from rl2_sb3.trials.spaces import PRIVILEGED, flatten, no_action, trial_space


class BatchedTrials(VecEnv):
    """``n_envs`` trials of ``episodes`` episodes each, advanced together by arrays alone.

    Each column is a sequence of trials; a trial's end is the column's ``done``, and a new task is
    drawn for it. An inner episode's end shows only in the next observation.

    Two generators are kept, one for the tasks and one for what happens in them, so that the tasks
    of a seed are the same for every agent: all of them where trials have one length, else those
    that the columns begin with.

    :param tasks: the distribution of tasks
    :param n_envs: number of trials that run at once
    :param episodes: episodes per trial
    :param seed: seed of the tasks and the noise; ``None`` takes one from the system
    :param privileged: training may use what only a simulator knows. The observation gets a part
        ``privileged``, for the value network alone: the privileged observation
        (:meth:`BatchedTasks.privileged_observation`), the share of the trial's episodes that are
        over, and what was last learned from; and infos hold the ``training_reward``, from which
        algorithms learn in the reward's place (:meth:`BatchedTasks.training_reward`), where the
        tasks have one
    :raises ValueError: fewer than one environment or episode, spaces that SB3 cannot handle, or
        ``privileged`` tasks without a privileged observation
    """

    def __init__(
        self,
        tasks: BatchedTasks[Any, Any],
        n_envs: int,
        episodes: int,
        seed: int | None = None,
        privileged: bool = False,
    ):
        if n_envs < 1 or episodes < 1:
            raise ValueError(f"n_envs={n_envs}, episodes={episodes}: both must be at least 1.")
        checks.check_no_masks(tasks)
        self.render_mode = None
        self.privileged = privileged
        size = _privileged_size(tasks) + 2 if privileged else 0
        space = trial_space(tasks.observation_space, tasks.action_space, size)
        super().__init__(n_envs, space, tasks.action_space)
        self._dtypes = {key: part.dtype for key, part in space.items()}
        self.tasks = tasks
        self.episodes = episodes
        self.trial_length = None if tasks.horizon is None else tasks.horizon * episodes
        """Steps of a trial where all trials have the same, else ``None``."""
        self._none = np.repeat(no_action(tasks.action_space)[None], n_envs, axis=0)
        self._actions = self._none
        self._ready = False
        self._clock = np.zeros(n_envs, np.int64)
        self._looked = 0
        self._trial = self._step = np.zeros(n_envs, np.int64)  # for errors to name
        self.seed(seed)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Begin the tasks and the noise anew; call :meth:`reset` after it."""
        sequence = np.random.SeedSequence(seed)
        self._task_rng, self._noise_rng = map(np.random.default_rng, sequence.spawn(2))
        return [seed] * self.num_envs

    def reset(self) -> dict[str, NDArray[Any]]:
        """Begin a new trial in every column."""
        n = self.num_envs
        self._trial, self._step = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._params = self.tasks.sample(n, self._task_rng)
        self._state, own = self._begin(self._params)
        self._look(own)
        self._episode = np.zeros(n, np.int64)
        self._clock += 1
        self._ready = True
        self._training_reward = np.zeros(n, np.float32)
        zeros = np.zeros(n, np.bool_)
        return self._observe(own, self._none, np.zeros(n, np.float32), zeros, ~zeros)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions for the next step, axis 0 the column."""
        self._actions = np.asarray(actions, self._none.dtype).reshape(self._none.shape)

    def step_wait(self) -> Any:
        """Advance every column by one step.

        :return: observations, rewards ``(n_envs,)``, dones ``(n_envs,)`` (ends of trials), infos
        """
        if not self._ready:
            raise RuntimeError("Call reset() before step().")
        training = None
        if self.privileged:
            told = self.tasks.training_reward(self._params, self._state, self._actions.copy())
            training = None if told is None else self._read(checks.read_reward, told)
        stepped = self.tasks.step(  # copies, which they may change
            self._params, self._state, self._actions.copy(), self._noise_rng
        )
        self._step = self._step + 1
        self._state, own, reward, ended = read_parts(stepped, BATCHED_STEP, self._place)
        self._looked += 1
        reward = self._read(checks.read_reward, reward)
        ended = self._read(checks.read_ends, ended)
        self._look(own)
        self._training_reward = reward if training is None else training
        self._episode = self._episode + ended
        done = self._episode == self.episodes
        self._clock += 1 + done
        terminal = None
        metrics = self._metrics(ended) if ended.any() else None
        if done.any():
            terminal = self._observe(own, self._actions, reward, ended, np.zeros_like(done))
            self._new_tasks(done)
        if ended.any():
            own = self._new_episodes(own, ended)
        observation = self._observe(
            own,
            _where(done, self._none, self._actions),
            np.where(done, np.float32(0), reward),
            ended & ~done,
            start=done,
        )
        infos = TrialInfos(self.num_envs, done, terminal, training, metrics)
        return observation, reward, done, infos

    def _metrics(self, ended: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
        """What the tasks report of the episodes that ended, NaN in the other rows."""
        told = self.tasks.metrics(self._params, self._state) or {}
        metrics = {}
        for name, values in told.items():
            flaw = metric_flaw(name, np.asarray(values), (self.num_envs,))
            if flaw is not None:
                raise RuntimeError(f"{type(self.tasks).__name__}.metrics gives {flaw}")
            metrics[name] = np.where(ended, np.asarray(values, np.float64), np.nan)
        return metrics

    def _new_tasks(self, done: NDArray[np.bool_]) -> None:
        self._episode[done] = 0
        self._trial, self._step = self._trial + done, np.where(done, 0, self._step)
        self._training_reward = np.where(done, np.float32(0), self._training_reward)
        params = self.tasks.sample(int(done.sum()), self._task_rng)
        self._params = params if done.all() else put(self._params, done, params)

    def _new_episodes(self, own: Any, ended: NDArray[np.bool_]) -> Any:
        """Reset the columns whose episode ended; gives the observation with theirs replaced."""
        if ended.all():
            self._state, own = self._begin(self._params)
            self._look(own)
            return own
        state, first = self._begin(take(self._params, ended))
        self._look(first, np.flatnonzero(ended))
        self._state = put(self._state, ended, state)
        return put(own, ended, first)

    def _begin(self, params: Any) -> Any:
        """States and first observations of new episodes."""
        return read_parts(self.tasks.reset(params, self._noise_rng), BATCHED_RESET, self._place)

    def _look(self, own: Any, columns: NDArray[np.intp] | None = None) -> None:
        """Look at the tasks' own observations.

        :param columns: whose they are, by default all
        :raises RuntimeError: they are none of the observation space's
        """
        columns = np.arange(self.num_envs) if columns is None else columns
        space: Any = self.observation_space  # a Dict, whose own `in` asks for values
        looks = self._looked < checks.LOOKED_AT
        try:
            parts = flatten(own, space)
            odd = checks.check_observation(parts, space.spaces, len(columns), looks)
        except checks.FlawError as flaw:
            flaw.row = int(columns[flaw.row])
            raise checks.refusal(flaw, *self._place(flaw.row)) from None
        if odd is not None:
            self._looked = checks.LOOKED_AT  # one warning is enough
            checks.warn(odd, type(self.tasks).__name__, 0, int(self._step[0]))

    def _read(self, how: Callable[[Any, int], NDArray[Any]], handed_in: Any) -> NDArray[Any]:
        try:
            return how(handed_in, self.num_envs)
        except checks.FlawError as flaw:
            raise checks.refusal(flaw, *self._place(flaw.row)) from None

    def _place(self, row: int = 0) -> tuple[str, int, int]:
        return f"{row} of {type(self.tasks).__name__}", int(self._trial[row]), int(self._step[row])

    def _observe(
        self,
        own: Any,
        action: NDArray[Any],
        reward: NDArray[np.float32],
        ended: NDArray[np.bool_],
        start: NDArray[np.bool_],
    ) -> dict[str, NDArray[Any]]:
        parts = {
            **flatten(own, self.observation_space),
            "action": action,
            "reward": reward[:, None],
            "done": ended[:, None],
            "start": start[:, None],
        }
        if self.privileged:
            known: Any = self.tasks.privileged_observation(self._params, self._state)
            parts[PRIVILEGED] = np.column_stack(
                [known, self._episode / self.episodes, self._training_reward]
            )
        # Copies: whoever gets an observation may keep it while the tasks go on.
        return {key: np.array(part, self._dtypes[key]) for key, part in parts.items()}

    def clock(self) -> NDArray[np.int64]:
        """Steps and beginnings of trials in each column so far, whoever asked for them."""
        return self._clock.copy()

    def get_state(self) -> dict[str, Any]:
        """Everything that the next steps depend on; :meth:`set_state` goes on from it."""
        state: dict[str, Any] = {
            "task_rng": self._task_rng.bit_generator.state,
            "noise_rng": self._noise_rng.bit_generator.state,
        }
        if self._ready:
            state |= {"params": self._params, "state": self._state, "episode": self._episode}
            state |= {"trial": self._trial, "step": self._step}
        return deepcopy(state)

    def set_state(self, state: dict[str, Any]) -> bool:
        """Go on from what :meth:`get_state` gave, and say that all is as it was.

        :raises ValueError: the state of another number of columns
        """
        if len(state.get("episode", self._none)) != self.num_envs:
            raise ValueError(
                f"The state of n_envs={len(state['episode'])} trials does not fit "
                f"n_envs={self.num_envs}: make as many."
            )
        state = deepcopy(state)
        self._task_rng.bit_generator.state = state["task_rng"]
        self._noise_rng.bit_generator.state = state["noise_rng"]
        self._ready = "params" in state
        if self._ready:
            self._params, self._state = state["params"], state["state"]
            self._episode = state["episode"]
            nothing = np.zeros(self.num_envs, np.int64)  # not in checkpoints of before
            self._trial, self._step = state.get("trial", nothing), state.get("step", nothing)
        return True

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute, once for each column asked for."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set the attribute for all columns: they are one object."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """Call the method once: the columns are one object."""
        return [getattr(self, method_name)(*args, **kwargs)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        """No Gymnasium wrapper lies around arrays."""
        return [False for _ in self._get_indices(indices)]


def _privileged_size(tasks: BatchedTasks[Any, Any]) -> int:
    """Size of the privileged observation of the tasks."""
    rng = np.random.default_rng(0)
    params = tasks.sample(1, rng)
    known = tasks.privileged_observation(params, tasks.reset(params, rng)[0])
    if known is None:
        raise ValueError(
            f"privileged=True, but {type(tasks).__name__} has no privileged observation: implement "
            "BatchedTasks.privileged_observation, or leave it out."
        )
    return int(known.shape[1])


def _where(rows: NDArray[np.bool_], yes: NDArray[Any], no: NDArray[Any]) -> NDArray[Any]:
    """``np.where`` by rows, for arrays with any trailing shape."""
    if not rows.any():
        return no
    return np.where(rows.reshape(-1, *[1] * (no.ndim - 1)), yes, no)
