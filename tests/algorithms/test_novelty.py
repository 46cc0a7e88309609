"""The bonus for what a trial has not tried yet: who gets it, in learning alone."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.utils import LinearSchedule

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.trials import make_trials
from tests.algorithms.collecting import Model, collect

SMALL = {"hidden_size": 8}


def mdp_model(algorithm: type[Model] = RL2PPO, episodes: int = 3, **options: Any) -> Model:
    trials = make_trials(
        "tabular-mdp", n_envs=5, episodes=episodes, seed=3, privileged=True, horizon=4, actions=2
    )
    return algorithm("GRUPolicy", trials, seed=0, policy_kwargs=SMALL, **options)


def first_times(buffer: Any) -> np.ndarray:
    """By going through each column alone: is the pair new since the last start?"""
    obs = buffer.observations
    new = np.zeros(buffer.rewards.shape, bool)
    for column in range(new.shape[1]):
        seen: set[tuple[int, int]] = set()
        for t in range(len(new)):
            if obs["start"][t, column, 0]:
                seen.clear()
            pair = int(obs["observation"][t, column, 0]), int(buffer.actions[t, column, 0])
            new[t, column] = pair not in seen
            seen.add(pair)
    return new


@pytest.mark.parametrize("algorithm", [RL2PPO, RL2TRPO])
def test_it_is_added_the_first_time_that_a_trial_takes_an_action_in_a_state(
    algorithm: type[Model],
) -> None:
    plain, bonus = collect(mdp_model(algorithm)), collect(mdp_model(algorithm, novelty_coef=0.5))

    new = first_times(bonus)
    np.testing.assert_array_equal(plain.actions, bonus.actions)
    np.testing.assert_allclose(bonus.rewards, plain.rewards + 0.5 * new, rtol=1e-6)
    assert 0.2 < new.mean() < 0.9
    np.testing.assert_array_equal(  # the agent's own are real
        plain.observations["reward"], bonus.observations["reward"]
    )


def test_a_trial_over_two_rollouts_keeps_its_books_and_a_new_one_has_its_own() -> None:
    def four_blocks(**options: Any) -> Any:
        model = mdp_model(n_steps=9, **options)  # of trials of 12
        blocks = [copy.deepcopy(collect(model)) for _ in range(4)]
        join = np.concatenate
        return SimpleNamespace(
            rewards=join([block.rewards for block in blocks]),
            actions=join([block.actions for block in blocks]),
            observations={
                key: join([block.observations[key] for block in blocks])
                for key in ("start", "observation")
            },
        )

    plain, bonus = four_blocks(), four_blocks(novelty_coef=1.0)
    np.testing.assert_allclose(bonus.rewards - plain.rewards, first_times(bonus), atol=1e-5)


def test_a_schedule_lets_it_fall() -> None:
    plain = collect(mdp_model())
    model = mdp_model(novelty_coef=LinearSchedule(0.8, 0.0, 1.0))
    model._current_progress_remaining = 0.25

    bonus = collect(model).rewards - plain.rewards
    assert np.unique(np.abs(bonus).round(5)).tolist() == [0, np.float32(0.2)]


def test_a_resumed_run_knows_what_was_tried(tmp_path: Path) -> None:
    whole = mdp_model(novelty_coef=0.5, n_steps=9)
    whole.learn(4 * 9 * 5)
    part = mdp_model(novelty_coef=0.5, n_steps=9)
    part.learn(9 * 5)
    part.save(tmp_path / "part.zip")
    trials = mdp_model().env
    resumed = RL2PPO.load(tmp_path / "part.zip", trials, force_reset=False)
    resumed.learn(3 * 9 * 5, reset_num_timesteps=False)

    for ours, theirs in zip(whole.policy.parameters(), resumed.policy.parameters(), strict=True):
        assert (ours == theirs).all()


def test_what_is_not_discrete_has_no_first_time() -> None:
    with pytest.raises(ValueError, match=r"takes Discrete observations.*use novelty_coef=0"):
        RL2PPO("GRUPolicy", gym.make("CartPole-v1"), policy_kwargs=SMALL, novelty_coef=0.1)
