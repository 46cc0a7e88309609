"""Options of a reset, as Gymnasium has them."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.vec_env import DummyVecEnv

from rl2_sb3 import TrialWrapper
from tests.envs import FragileEnv, GoalEnv, GoalTasks


class Options(GoalEnv):
    """It notes what resets are told."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.told = options
        return super().reset(seed=seed, options=options and {"task": 0, **options})


class OptionTasks(GoalTasks):
    def make_env(self) -> GoalEnv:
        return Options()


def test_options_of_a_reset_reach_the_environment() -> None:
    env: Any = TrialWrapper(Options(), 3)
    env.reset(options={"wind": 3})
    assert env.unwrapped.told == {"wind": 3}
    while env._episode < 2:
        env.step(0)
    assert env.unwrapped.told == {"wind": 3}  # in each episode of the trial
    again: Any = TrialWrapper(Options(), 3)
    again.set_state(env.get_state())
    assert again.unwrapped.told == {"wind": 3}
    env.reset()
    assert env.unwrapped.told is None  # of that trial alone


def test_options_of_a_reset_choose_the_task() -> None:
    env: Any = TrialWrapper(OptionTasks().make_env(), 3, OptionTasks())
    env.reset(seed=1, options={"task": 77, "wind": 3})
    assert env.unwrapped.told == {"task": 77, "wind": 3}
    other: Any = TrialWrapper(OptionTasks().make_env(), 3, OptionTasks())
    other.reset(seed=1)
    env.reset(), other.reset()
    assert env.unwrapped.told == other.unwrapped.told  # the next trial is the one that it was


def test_vec_envs_hand_options_on() -> None:
    trials = DummyVecEnv([lambda: TrialWrapper(Options(), 3)] * 2)
    trials.set_options([{"wind": 3}, {"wind": 4}])
    trials.reset()
    assert trials.get_attr("told") == [{"wind": 3}, {"wind": 4}]


def test_a_lost_trial_begins_anew_with_its_options() -> None:
    class Fragile(FragileEnv):
        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            self.told = options
            return super().reset(seed=seed, options=options)

    env: Any = TrialWrapper(Fragile(dies=2), 3, GoalTasks())
    env.reset(options={"task": 77})
    env.step(0)
    assert env.step(0)[3]
    env.reset()
    assert env.unwrapped.told == {"task": 77}
    env.reset()
    assert env.unwrapped.told != {"task": 77}
