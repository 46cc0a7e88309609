"""The bonus for what a trial has seldom tried."""

from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3.common.logger import Logger

from rl2_sb3 import RL2PPO, RL2TRPO, BernoulliBandit, evaluate_trials, make_trials
from rl2_sb3.algorithms.visits import visit_bonus
from rl2_sb3.trials.play import play
from tests.algorithms.collecting import collect

NETWORK = {"hidden_size": 16}


def test_by_hand() -> None:
    """Two columns: one meets a pair three times, the other begins a trial in the middle."""
    states = np.array([[0, 1], [0, 1], [2, 1], [0, 1]])
    actions = np.array([[1, 0], [1, 0], [1, 0], [1, 0]])
    starts = np.array([[1, 1], [0, 0], [0, 1], [0, 0]])
    expected = np.array([[1, 1], [1 / 2, 1 / 2], [1, 1], [1 / 3, 1 / 2]])
    np.testing.assert_allclose(visit_bonus(states, actions, starts), expected)
    other = np.array([[1, 0], [0, 1], [1, 2], [0, 0]])  # the same states, other actions
    expected = np.array([[1, 1], [1, 1], [1, 1], [1 / 2, 1]])
    np.testing.assert_allclose(visit_bonus(states, other, starts), expected)


@pytest.mark.parametrize("kind", [RL2PPO, RL2TRPO])
def test_it_is_learned_from_and_fades(kind: type[RL2PPO] | type[RL2TRPO]) -> None:
    """What is learned from is the reward and the bonus, whose weight falls to zero and stays."""
    returns = []
    for steps, progress in ((0, 1.0), (50, 0.5), (200, 0.0)):  # of a hundred over which it decays
        trials = make_trials("bandit", 8, 6, seed=0, arms=2)
        model = kind("GRUPolicy", trials, visit_bonus=2.0, gae_lambda=1.0, gamma=1.0, seed=0)
        model.decay_steps, model.num_timesteps = 100, steps
        buffer = collect(model)
        bonus = visit_bonus(
            np.zeros((6, 8)), buffer.actions[..., 0], np.eye(6)[:, :1] * np.ones((1, 8))
        )
        rewards = np.concatenate([buffer.observations["reward"][1:, :, 0], np.zeros((1, 8))])
        learned = buffer.rewards - 2 * progress * bonus
        np.testing.assert_allclose(learned[:-1], rewards[:-1], atol=1e-6)
        np.testing.assert_allclose(buffer.returns[0], buffer.rewards.sum(0), rtol=1e-5)
        returns.append(buffer.returns[0].mean())
    assert returns[0] > returns[1] > returns[2]


def test_it_makes_an_agent_try_all_arms() -> None:
    """Four pulls of four arms: at random 2.7 of them are tried, and all by who is paid for it."""
    bandit = BernoulliBandit(arms=4)
    trials = make_trials(bandit, 200, 4, seed=0)
    model = RL2PPO("GRUPolicy", trials, visit_bonus=20.0, policy_kwargs=NETWORK, seed=0)
    model.set_logger(Logger(None, []))
    model.learn(60_000)
    pulled = np.zeros((200, 4))
    for step in play(model, make_trials(bandit, 200, 4, seed=1), 200):
        pulled[np.arange(200), np.asarray(step.action)] = 1
    assert pulled.sum(1).mean() > 3.8
    assert evaluate_trials(model, bandit, 100, episodes=4).returns.max() <= 4  # no bonus there


def test_where_it_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="Discrete observations and actions"):
        RL2PPO("GRUPolicy", "CartPole-v1", visit_bonus=0.1)
    with pytest.raises(ValueError, match="n_steps=4 is to be a multiple of a trial's length, 6"):
        RL2PPO("GRUPolicy", make_trials("bandit", 8, 6), visit_bonus=0.1, n_steps=4)
    with pytest.raises(ValueError, match="needs batched tasks"):
        RL2PPO("GRUPolicy", "FrozenLake-v1", visit_bonus=0.1)
    model = RL2PPO("GRUPolicy", make_trials("bandit", 8, 6), visit_bonus=0.1)
    model.set_env(make_trials("bandit", 8, 4))
    with pytest.raises(ValueError, match="n_steps=6 is to be a multiple of a trial's length, 4"):
        model.learn(48)


def test_rollouts_begin_where_trials_do() -> None:
    """Also where another was left in its middle."""
    model = RL2PPO("GRUPolicy", make_trials("bandit", 8, 6, seed=0), visit_bonus=0.1, seed=0)
    model.set_logger(Logger(None, []))
    model.learn(48, callback=lambda told, _: model.num_timesteps < 24)
    assert model._last_obs is not None
    model.learn(48, reset_num_timesteps=False)
    assert model.rollout_buffer.episode_starts[0].all()
    assert not model.rollout_buffer.episode_starts[1:].any()
