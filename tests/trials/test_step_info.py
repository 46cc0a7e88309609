"""What environments tell in ``info["rl2"]``: what to learn from, what only they know, a loss."""

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecNormalize

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.trials import TrialWrapper
from tests.envs import FragileEnv, GoalEnv, GoalTasks


class ToldEnv(GoalEnv):
    """Tells what to learn from in the reward's place."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward, terminated, truncated, {**info, "rl2": {"training_reward": reward - 7}}


class ToldTasks(GoalTasks):
    def make_env(self) -> GoalEnv:
        return ToldEnv()


def test_what_to_learn_from_is_told_where_it_is_asked_for() -> None:
    for tasks, privileged in ((ToldTasks(), True), (ToldTasks(), False), (GoalTasks(), True)):
        trials = make_trials(tasks, 2, seed=0, privileged=privileged)
        model = RL2PPO("GRUPolicy", trials, n_steps=8, policy_kwargs={"hidden_size": 4})
        if isinstance(tasks, ToldTasks):
            model.learn(16)
            shift = 7 if privileged else 0
            rewards = model.rollout_buffer.rewards
            assert set(np.unique(rewards) + shift) <= {0, 1}
            assert set(np.unique(model.rollout_buffer.observations["reward"])) <= {0, 1}
        else:
            with pytest.raises(RuntimeError, match=r"GoalEnv.* has no training reward: let it put"):
                model.learn(16)
    scaled = VecNormalize(make_trials(ToldTasks(), 2, privileged=True), norm_obs=False)
    with pytest.raises(ValueError, match="Privileged trials in a VecNormalize"):
        RL2PPO("GRUPolicy", scaled)
    with pytest.raises(ValueError, match="privileged=True needs a task distribution"):
        make_trials("CartPole-v1", privileged=True)


class KnowingEnv(ToldEnv):
    """Tells its goal, and how many steps an episode has had."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        obs, info = super().reset(**kwargs)
        self.steps = 0
        return obs, {**info, "rl2": {"privileged_observation": [self.goal, 0]}}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        *given, info = super().step(action)
        self.steps += 1
        told = {**info["rl2"], "privileged_observation": [self.goal, self.steps]}
        return given[0], given[1], given[2], given[3], {**info, "rl2": told}


class KnowingTasks(GoalTasks):
    privileged_size = 2

    def make_env(self) -> GoalEnv:
        return KnowingEnv()


class SilentTasks(KnowingTasks):
    def make_env(self) -> GoalEnv:
        return ToldEnv()


def test_what_only_a_simulator_knows_is_told_where_it_is_asked_for() -> None:
    """With the share of the episodes that are over, and what was last learned from."""
    trial = TrialWrapper(KnowingEnv(), 2, KnowingTasks(), privileged=True)
    obs, _ = trial.reset(seed=0)
    goal = trial.get_wrapper_attr("goal")
    assert obs["privileged"].tolist() == [goal, 0, 0, 0]
    over, episode, steps = False, 0, 0
    while not over:
        obs, reward, over, _, _ = trial.step(trial.action_space.sample())
        episode, steps = episode + int(obs["done"][0]), steps + 1
        steps = 0 if obs["done"][0] and not over else steps
        assert obs["privileged"].tolist() == pytest.approx([goal, steps, episode / 2, reward - 7])
    assert "privileged" not in TrialWrapper(KnowingEnv(), 2, KnowingTasks()).reset()[0]
    silent = TrialWrapper(ToldEnv(), 2, SilentTasks(), privileged=True)
    with pytest.raises(RuntimeError, match=r"shape \(0,\), not \(2,\): give that"):
        silent.reset()


def test_a_lost_trial_is_begun_anew() -> None:
    """The simulator dies in the third step, which is in the first or the second episode."""
    whole = TrialWrapper(FragileEnv(0), 3, GoalTasks())
    trial = TrialWrapper(FragileEnv(3), 3, GoalTasks())
    expected = [whole.reset(seed=0)[0], *(whole.step(1)[:3] for _ in range(3))]
    np.testing.assert_equal(trial.reset(seed=0)[0], expected[0])
    steps = [trial.step(1) for _ in range(3)]
    assert [truncated for _, _, _, truncated, _ in steps] == [False, False, True]
    assert not any(terminated for _, _, terminated, _, _ in steps)
    assert steps[2][0]["done"] == [0]  # the episode is not at its end
    np.testing.assert_equal([step[:3] for step in steps[:2]], expected[1:3])
    with pytest.raises(RuntimeError, match=r"Call reset\(\)"):
        trial.step(1)
    np.testing.assert_equal(trial.reset()[0], expected[0])
    np.testing.assert_equal([trial.step(1)[:3] for _ in range(3)], expected[1:])


def test_what_a_lost_simulator_told_last_stands() -> None:
    """Its episode is not over: whoever values the step that would have come next sees no end."""

    class DyingEnv(KnowingEnv):
        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            obs, reward, _, _, _ = super().step(action)
            return obs, reward, False, True, {"rl2": {"lost": True}}

    trial = TrialWrapper(DyingEnv(), 2, KnowingTasks(), privileged=True)
    before = trial.reset(seed=0)[0]["privileged"]
    obs, _, terminated, truncated, _ = trial.step(0)
    assert (terminated, truncated) == (False, True)
    assert obs["privileged"].tolist() == before.tolist()


def test_a_trial_that_is_always_lost_is_given_up() -> None:
    env = FragileEnv(1)
    trial = TrialWrapper(env, 3, GoalTasks())
    trial.reset(seed=0)
    for _ in range(9):
        env.steps = 0
        assert trial.step(1)[3]
        trial.reset()
    env.steps = 0
    with pytest.raises(RuntimeError, match="simulator died 10 times in a row in a trial of task"):
        trial.step(1)


def test_a_simulator_that_dies_while_a_trial_is_taken_up_says_so() -> None:
    trial = TrialWrapper(FragileEnv(0), 3, GoalTasks(width=20))
    trial.reset(seed=1)
    for _ in range(4):
        trial.step(0)
    with pytest.raises(RuntimeError, match="died while a trial was taken up"):
        TrialWrapper(FragileEnv(2), 3, GoalTasks(width=20)).set_state(trial.get_state())
