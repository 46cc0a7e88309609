"""VecNormalize around trials: true returns under it, and what cannot be right refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.trials import play
from rl2_sb3.trials.steps import wrappers
from tests.algorithms.collecting import collect
from tests.envs import SmallEnv, vector


class HundredEnv(SmallEnv):
    """Episodes of four steps with a reward of 100 each."""

    def __init__(self) -> None:
        super().__init__(vector(2), spaces.Discrete(2), length=4)

    def reward(self, action: Any, over: bool) -> float:
        return 100.0


def scaled(columns: int = 2) -> Any:
    return VecNormalize(make_trials(HundredEnv, columns, episodes=3), norm_obs=False)


def make_model(trials: Any) -> RL2PPO:
    return RL2PPO(
        "GRUPolicy", trials, n_steps=24, seed=0, device="cpu", policy_kwargs={"hidden_size": 8}
    )


@pytest.mark.parametrize("around", [lambda trials: trials, VecMonitor, VecNormalize])
def test_returns_are_in_units_of_reward(around: Any) -> None:
    trials = (
        around(scaled()) if around is not VecNormalize else VecNormalize(scaled(), norm_obs=False)
    )
    model = make_model(trials)
    buffer = collect(model)
    logged = model.logger.name_to_value
    assert logged["trial/return"] == 1200
    assert logged["trial/return_episode_1"] == 400
    assert logged["trial/length"] == 12
    assert [each["r"] for each in model.ep_info_buffer or ()] == [1200] * 4
    assert 0 < buffer.rewards.max() <= 10  # what is learned from is scaled
    assert buffer.observations["reward"].max() == 100  # and what the agent sees is not
    model.learn(48, reset_num_timesteps=False)
    assert np.mean([each["r"] for each in model.ep_info_buffer or ()]) == 1200


def test_what_is_played_is_in_units_of_reward() -> None:
    class First:
        def predict(self, observation: Any, state: Any = None, *_: Any, **__: Any) -> Any:
            return np.zeros(2, np.int64), state

    steps = list(play(First(), scaled(), n_trials=2))
    assert len(steps) == 12
    assert all((step.came.reward == 100).all() for step in steps)


def around_monitor() -> Any:
    return VecNormalize(VecMonitor(make_trials(HundredEnv, 2, episodes=3)), norm_obs=False)


def twice() -> Any:
    return VecNormalize(scaled(), norm_obs=False)


@pytest.mark.parametrize("training", [scaled, lambda: VecMonitor(scaled()), around_monitor, twice])
@pytest.mark.parametrize(
    "make",
    [scaled, lambda: make_trials(HundredEnv, 2, episodes=3), HundredEnv, around_monitor, twice],
)
def test_evaluations_are_in_units_of_reward(training: Any, make: Any) -> None:
    """Also where the environment of an EvalCallback is scaled, or not wrapped as SB3 wants it."""
    evaluation = EvalCallback(make(), n_eval_episodes=2, eval_freq=24, verbose=0, warn=False)
    model = make_model(training())
    model.learn(48, evaluation)
    depth = len(wrappers(evaluation.eval_env))
    model.learn(48, evaluation, reset_num_timesteps=False)
    assert evaluation.best_mean_reward == 1200
    assert len(wrappers(evaluation.eval_env)) == depth


def test_evaluate_policy_is_in_units_of_reward() -> None:
    trials = VecNormalize(VecMonitor(make_trials(HundredEnv, 2, episodes=3)), norm_obs=False)
    assert evaluate_policy(make_model(scaled()), trials, 2) == (1200, 0)


def test_running_statistics_of_gymnasiums_wrappers_are_refused() -> None:
    for wrap in (NormalizeObservation, NormalizeReward):
        with pytest.raises(ValueError, match=f"{wrap.__name__} changes under the agent"):
            make_model(make_trials(lambda wrap=wrap: wrap(HundredEnv()), 2))  # type: ignore[misc]


def test_a_scaled_run_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole = make_model(scaled())
    whole.learn(48)
    whole.save(tmp_path / "half")
    whole.learn(48, reset_num_timesteps=False)
    resumed = RL2PPO.load(tmp_path / "half", scaled(), device="cpu", force_reset=False)
    resumed.learn(48, reset_num_timesteps=False)
    ours, theirs = resumed.policy.state_dict(), whole.policy.state_dict()
    assert all(th.equal(ours[key], theirs[key]) for key in ours)
    np.testing.assert_array_equal(resumed.rollout_buffer.rewards, whole.rollout_buffer.rewards)


def test_normalised_observations_are_refused_with_the_way_out() -> None:
    trials = make_trials(HundredEnv, 2, episodes=3)
    with pytest.raises(ValueError, match="norm_obs_keys"):  # SB3's own, as users write it
        VecNormalize(trials)
    seen: Any = VecNormalize(trials, norm_obs_keys=["observation"])
    for env in (seen, VecMonitor(seen)):
        with pytest.raises(
            ValueError, match=r"norm_obs=False\), and policy_kwargs={'normalize_obs"
        ):
            make_model(env)
    model = make_model(trials)
    with pytest.raises(ValueError, match="agents' files would lack its statistics"):
        model.set_env(seen)


def test_of_plain_environments_it_is_refused_with_the_way_out() -> None:
    plain = VecNormalize(make_vec_env(HundredEnv, 2))
    with pytest.raises(ValueError, match=r"put it around trials, VecNormalize\(rl2_sb3.make_tri"):
        make_model(plain)
