"""Trials over any Gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor

from rl2_sb3.tasks.base import GymTasks
from rl2_sb3.tasks.step_info import KEY, NOTHING, StepInfo, read_step_info, with_ours
from rl2_sb3.trials import checks
from rl2_sb3.trials.parts import RESET, STEP, read_parts
from rl2_sb3.trials.spaces import PRIVILEGED, flatten, like_space, no_action, trial_space

LOSSES = 10
"""Times in a row that a trial may be lost to its simulator's death."""

TrialObs = dict[str, Any]


class TrialWrapper(gym.Wrapper[TrialObs, Any, Any, Any], RecordConstructorArgs):
    """``episodes`` episodes with one task, laid end to end as one Gymnasium episode.

    An inner episode's end, terminated or truncated, shows only in the next observation: the next
    episode's first observation, with the last action and reward and ``done`` 1. The trial's end
    is ``terminated``, not ``truncated``: a trial is finite, and nothing comes after it.

    Where the environment has no distribution of tasks, *the seed is the task*: each trial draws
    a seed, and every episode of the trial resets the environment with it. With ``tasks``, each
    trial draws a task, handed to the environment as ``reset(options={"task": task})``, and every
    episode its own seed.

    The seed of a trial depends on the wrapper's seed and the trial's number alone, so that every
    agent meets the same trials. A trial whose simulator died (:attr:`StepInfo.lost`) is the one
    that is ``truncated``; the next :meth:`reset` begins it anew.

    What environments of a distribution report in ``info["rl2"]`` (:class:`StepInfo`) is read; other
    entries of ``info`` are handed on, but ``info["episode"]``: SB3 would take it for a trial's.

    :param env: the environment; Monitors around it and inside it are taken off, since they would
        report single episodes as trials
    :param episodes: episodes per trial
    :param tasks: the distribution of tasks, if it has one
    :param order: tasks of the trials, again and again in this order, instead of drawn ones
    :param privileged: training learns from the ``training_reward`` that the environment reports
        in every step; where it reports a ``privileged_observation``, too (see :class:`GymTasks`),
        the observation gets a part ``privileged``, as in :class:`BatchedTrials`
    :raises ValueError: ``episodes`` below 1, spaces that SB3 cannot handle, trials within trials
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        episodes: int,
        tasks: GymTasks | None = None,
        order: Sequence[Any] | None = None,
        privileged: bool = False,
    ):
        RecordConstructorArgs.__init__(
            self, episodes=episodes, tasks=tasks, order=order, privileged=privileged
        )
        gym.Wrapper.__init__(self, _without_monitors(env))
        if episodes < 1:
            raise ValueError(f"episodes={episodes}: a trial has at least one.")
        for name in ("observation_space", "action_space"):
            if not isinstance(getattr(env, name, None), gym.Space):
                raise ValueError(f"{env!r} has no {name}: set it in its __init__.")
        checks.check_plain(env, TrialWrapper)
        checks.check_wrappers(env)
        checks.check_no_masks(env)
        self.episodes = episodes
        self.tasks = tasks
        self.order = order
        self.privileged = privileged
        self._privileged_size = tasks.privileged_size if privileged and tasks is not None else 0
        self.observation_space = trial_space(
            env.observation_space,
            env.action_space,
            self._privileged_size + 2 if self._privileged_size else 0,
        )
        self._seed = int(np.random.SeedSequence().generate_state(1)[0])
        self._trial, self._losses, self._clock = -1, 0, 0
        self._started = False
        self._options: dict[str, Any] = {}
        self._options_again: dict[str, Any] = {}
        self.number = 0
        """Among the environments of a VecEnv, for errors to name."""
        self._looked = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[TrialObs, dict[str, Any]]:
        """Begin a new trial, with a new task.

        :param seed: begins the sequence of trials anew
        :param options: handed on to the environment in each of this trial's episodes; with
            ``tasks``, ``options["task"]`` is this trial's task instead of the drawn one
        """
        if seed is not None:
            self._seed, self._trial = seed, -1
        self._trial += 1
        self._clock += 1
        self._options = dict(options) if options else self._options_again
        return self._begin()

    def clock(self) -> int:
        """Steps and resets so far, whoever asked for them."""
        return self._clock

    def _begin(self) -> tuple[TrialObs, dict[str, Any]]:
        """Begin the trial with number ``self._trial``."""
        sequence = np.random.SeedSequence(self._seed, spawn_key=(self._trial,))
        self._rng = np.random.default_rng(sequence)
        if self.tasks is None:
            self._task = int(self._rng.integers(2**31))
        elif self.order is not None:
            self._task = self.order[self._trial % len(self.order)]
        else:
            self._task = self.tasks.sample(self._rng)
        if self.tasks is not None and "task" in self._options:
            self._task = self._options["task"]
        self._episode, self._started, self._training_reward = 0, True, 0.0
        self._options_again = {}
        self._actions: list[Any] = []
        own, info, step_info = self._reset_episode()
        nothing = no_action(self.action_space)
        obs = self._observe(own, nothing, 0.0, ended=False, start=True, step_info=step_info)
        return obs, with_ours(info, NOTHING)

    def _reset_episode(self) -> tuple[Any, dict[str, Any], StepInfo]:
        options = {**self._options, "privileged": True} if self.privileged else {**self._options}
        seed = self._task
        if self.tasks is not None:
            options["task"], seed = self._task, int(self._rng.integers(2**31))
        given = self.env.reset(seed=seed, options=options or None)
        own, info = read_parts(given, RESET, self._place)
        self._look(own)
        checks.check_info(info, self.env)
        return own, info, self._read(info)

    def _look(
        self, own: Any, reward: Any = 0.0, terminated: Any = False, truncated: Any = False
    ) -> float:
        """Look at what the environment hands in.

        :return: the reward
        :raises RuntimeError: an observation that is none of its space's, a reward that is no
            finite number, or an end that is neither true nor false
        """
        space: Any = self.observation_space  # a Dict, whose own `in` asks for values
        looks = self._looked < checks.LOOKED_AT
        self._looked += 1
        try:
            odd = checks.check_own(flatten(own, space), space.spaces, looks)
            if odd is not None:
                self._looked = checks.LOOKED_AT  # one warning is enough
                checks.warn(odd, *self._place())
            for flag in (terminated, truncated):
                if not isinstance(flag, bool):
                    checks.read_ends([flag], 1)
            return checks.read_number(reward)
        except checks.FlawError as flaw:
            raise checks.refusal(flaw, *self._place()) from None

    def _place(self) -> tuple[str, int, int]:
        return f"{self.number} ({self.env.unwrapped})", self._trial, len(self._actions)

    def _read(self, info: dict[str, Any]) -> StepInfo:
        return read_step_info(info, declared=self.tasks is not None)

    def step(self, action: Any) -> tuple[TrialObs, float, bool, bool, dict[str, Any]]:
        """Advance by one step; ``terminated`` is the trial's end, ``truncated`` its loss.

        :raises RuntimeError: before :meth:`reset`, or a trial that was lost ten times in a row
        """
        if not self._started:
            raise RuntimeError("Call reset() before step(), and after a trial's end.")
        # A copy for the environment, which may change it, and one to keep, since the caller may.
        given = self.env.step(_copy(action))
        self._actions.append(_copy(action))
        self._clock += 1
        own, reward, terminated, truncated, info = read_parts(given, STEP, self._place)
        reward = self._look(own, reward, terminated, truncated)
        step_info = self._read(info)
        ended, lost = bool(terminated or truncated), bool(step_info.lost)
        self._take_training_reward(step_info)
        self._episode += ended and not lost
        over = self._episode == self.episodes and not lost
        if over:
            self._started, self._losses = False, 0
        elif lost:
            self._lose()
        latest = step_info
        if ended and not (over or lost):
            own, _, latest = self._reset_episode()
        done = ended and not lost  # a lost episode is not at its end
        obs = self._observe(own, action, reward, ended=done, start=False, step_info=latest)
        if step_info is not NOTHING:
            training = step_info.training_reward if self.privileged else None
            metrics = step_info.metrics if done else None
            step_info = StepInfo(training, None, step_info.success, lost, metrics)
        return obs, reward, over, lost, with_ours(info, step_info)

    def _take_training_reward(self, step_info: StepInfo) -> None:
        if self.privileged and step_info.training_reward is None and not step_info.lost:
            raise RuntimeError(
                f"privileged=True, but {self.env.unwrapped} has no training reward: let it put "
                f'info["{KEY}"] = {{"training_reward": ...}} in every step, or leave it out.'
            )
        self._training_reward = step_info.training_reward or 0.0

    def _lose(self) -> None:
        self._started = False
        self._trial -= 1
        self._options_again = self._options
        self._losses += 1
        if self._losses == LOSSES:
            raise RuntimeError(
                f"The simulator died {LOSSES} times in a row in a trial of task {self._task!r}."
            )

    def _observe(
        self, own: Any, action: Any, reward: float, ended: bool, start: bool, step_info: StepInfo
    ) -> dict[str, Any]:
        known = {PRIVILEGED: self._known(step_info)} if self._privileged_size else {}
        self._last_obs = {
            **flatten(own, self.observation_space),
            "action": like_space(action, self.action_space),
            "reward": np.array([reward], np.float32),
            "done": np.array([ended], np.int8),
            "start": np.array([start], np.int8),
            **known,
        }
        return self._last_obs

    def _known(self, step_info: StepInfo) -> NDArray[np.float32]:
        """The privileged observation; of a lost simulator, the last one."""
        if not step_info.lost:
            known = step_info.privileged_observation
            self._last_known = () if known is None else known
        if np.shape(self._last_known) != (self._privileged_size,):
            raise RuntimeError(
                f"{self.env.unwrapped} has a privileged observation of shape "
                f"{np.shape(self._last_known)}, not ({self._privileged_size},): give that in "
                f'info["{KEY}"]["privileged_observation"], in resets and steps.'
            )
        parts = self._last_known, self._episode / self.episodes, self._training_reward
        return np.hstack(parts).astype(np.float32)

    def get_state(self) -> dict[str, Any]:
        """What the next steps depend on: the trial's seed, and the actions taken in it."""
        return {
            "seed": self._seed,
            "trial": self._trial,
            "options": deepcopy(self._options),
            "actions": deepcopy(self._actions) if self._started else None,
            "observation": deepcopy(self._last_obs) if self._started else None,
        }

    def set_state(self, state: dict[str, Any]) -> bool:
        """Go on from what :meth:`get_state` gave, by taking the trial's actions again.

        :return: whether the environment, which must be deterministic given the seed that it is
            reset with, came to the same observation as before
        """
        self._seed, self._trial, self._started = state["seed"], state["trial"], False
        self._options = state.get("options", {})  # not in checkpoints of before
        if state["actions"] is not None:
            self._begin()
            for action in state["actions"]:
                if not self._started:
                    return False  # its trial was over sooner
                if self.step(action)[3]:
                    raise RuntimeError("The simulator died while a trial was taken up: try again.")
            before = state.get("observation")  # states of before have none
            return self._started and (before is None or checks.same(before, self._last_obs))
        return True


def _copy(action: Any) -> Any:
    return action.copy() if isinstance(action, (np.ndarray, np.generic)) else deepcopy(action)


def _without_monitors(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """The environment without the Monitors in it; wrappers around them stay.

    stable-baselines3 looks for a Monitor through all wrappers and then waits for its account of the
    episode, which a wrapper around the trial, such as TimeLimit, may keep from coming.
    """
    if isinstance(env, Monitor):
        return _without_monitors(env.env)
    if isinstance(env, gym.Wrapper):
        env.env = _without_monitors(env.env)
    return env
