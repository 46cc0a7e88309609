"""Environments of this process: one after the other, or in threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv


def processors() -> int:
    """How many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalVecEnv(DummyVecEnv):
    """SB3's :class:`DummyVecEnv`, whose ``infos`` are handed on without deep copies of them.

    These cost more than all else that is done for a step, and nobody writes into an environment's
    ``info`` but at its top.
    """

    def step_wait(self) -> Any:
        """Step all environments; those whose episode ended are reset."""
        self._run(self._step)
        dones, rewards = self.buf_dones.copy(), self.buf_rews.copy()
        return self._obs_from_buf(), rewards, dones, list(self.buf_infos)

    def reset(self) -> Any:
        """Reset all environments, with the seeds and options that they were given."""
        self._run(self._begin)
        self._reset_seeds()
        self._reset_options()
        return self._obs_from_buf()

    def _run(self, each: Callable[[int], None]) -> None:
        for column in range(self.num_envs):
            each(column)

    def _step(self, column: int) -> None:
        env = self.envs[column]
        obs, reward, terminated, truncated, info = env.step(self.actions[column])
        done = terminated or truncated
        info = {**info, "TimeLimit.truncated": truncated and not terminated}
        if done:
            info["terminal_observation"] = obs
            obs, self.reset_infos[column] = env.reset()
        self.buf_rews[column], self.buf_dones[column] = reward, done
        self.buf_infos[column] = info
        self._save_obs(column, obs)

    def _begin(self, column: int) -> None:
        options = {"options": self._options[column]} if self._options[column] else {}
        obs, info = self.envs[column].reset(seed=self._seeds[column], **options)
        self.reset_infos[column] = info
        self._save_obs(column, obs)


class ThreadedVecEnv(LocalVecEnv):
    """Environments parted among threads.

    A thread steps the environments of a part one after the other. It pays where an environment's
    step spends its time outside of Python: nothing is pickled, and observations are written where
    they are read. An environment may meet another thread in each step.

    :param env_fns: functions that make the environments
    :param threads: by default as many as there are processors for this process
    """

    def __init__(self, env_fns: list[Callable[[], gym.Env[Any, Any]]], threads: int | None = None):
        super().__init__(env_fns)
        threads = min(threads or processors(), len(env_fns))
        self._parts = np.array_split(np.arange(len(env_fns)), threads)
        self._pool = ThreadPoolExecutor(threads, "environments")

    def close(self) -> None:
        """Close all environments, and end the threads."""
        self._pool.shutdown()
        super().close()

    def _run(self, each: Callable[[int], None]) -> None:
        def part(columns: Any) -> None:
            for column in columns:
                each(int(column))

        for _ in self._pool.map(part, self._parts):  # an environment's error is raised here
            pass
