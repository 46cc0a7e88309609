"""What threads add to SB3's DummyVecEnv; that they do the same is tested beside the processes."""

import threading
from typing import Any

import numpy as np
import pytest

from rl2_sb3.trials.threads import ThreadedVecEnv
from tests.envs import GoalEnv


class Meeting(GoalEnv):
    """A step waits until another environment is in its own."""

    barrier = threading.Barrier(2, timeout=20)

    def step(self, action: Any) -> Any:
        self.barrier.wait()
        return super().step(action)


class Broken(GoalEnv):
    def step(self, action: Any) -> Any:
        raise OSError("the simulator is gone")


def test_environments_of_two_threads_step_at_once() -> None:
    envs = ThreadedVecEnv([Meeting] * 2, threads=2)
    envs.reset()
    envs.step(np.zeros(2, int))  # in one thread the first would wait for the second in vain
    envs.close()


def test_all_parts_are_stepped() -> None:
    envs = ThreadedVecEnv([GoalEnv] * 5, threads=3)
    envs.seed(0)
    first: Any = envs.reset()
    obs: Any
    obs, _, dones, infos = envs.step(np.ones(5, int))
    kept = obs.copy()
    np.testing.assert_array_equal(obs[~dones], first[~dones] + 1)
    assert len(infos) == 5
    envs.step(np.ones(5, int))
    np.testing.assert_array_equal(obs, kept)  # a copy, that later steps do not write into
    envs.close()


def test_an_environments_error_reaches_the_caller() -> None:
    envs = ThreadedVecEnv([GoalEnv, Broken], threads=2)
    envs.reset()
    with pytest.raises(OSError, match="the simulator is gone"):
        envs.step(np.zeros(2, int))
    envs.close()
