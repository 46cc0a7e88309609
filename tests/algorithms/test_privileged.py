"""What only a simulator knows reaches the value network and the learning signal, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize, VecTransposeImage

from rl2_sb3 import BernoulliBandit, evaluate_trials, load_agent
from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.algorithms.updates import Loss
from rl2_sb3.trials import make_trials
from tests.algorithms.collecting import Clockwork, Model, collect


def privileged_model(algorithm: type[Model] = RL2PPO, **network: Any) -> Model:
    trials = make_trials("bandit", n_envs=6, episodes=4, seed=3, privileged=True, arms=3)
    constant = {"learning_rate": 1e-3, "ent_coef": 0.0}  # however long the run is
    network = {"hidden_size": 8, **network}
    return algorithm("GRUPolicy", trials, seed=0, policy_kwargs=network, **constant)


def test_trials_tell_the_means_and_how_much_of_the_trial_is_over() -> None:
    trials: Any = make_trials("bandit", n_envs=2, episodes=4, seed=3, privileged=True, arms=3)
    obs = trials.reset()
    means = trials.tasks.sample(2, np.random.default_rng(np.random.SeedSequence(3).spawn(1)[0]))
    arms = np.array([2, 0])
    losses = means[[0, 1], arms] - means.max(axis=1)

    np.testing.assert_allclose(obs["privileged"][:, :3], means, rtol=1e-6)
    np.testing.assert_allclose(obs["privileged"][:, 3], means.max(axis=1), rtol=1e-6)
    assert obs["privileged"][:, 4:].tolist() == [[0, 0], [0, 0]]
    for episode in (1, 2, 3):
        obs, reward, _, infos = trials.step(arms)
        assert obs["privileged"][:, 4].tolist() == [episode / 4] * 2
        np.testing.assert_allclose(obs["privileged"][:, 5], losses, rtol=1e-5)
        assert set(reward) <= {0, 1}
        np.testing.assert_allclose(infos.training_reward, losses, rtol=1e-5)
    obs, _, done, infos = trials.step(arms)
    assert done.all()
    np.testing.assert_allclose(infos.training_reward, losses, rtol=1e-5)
    assert infos[0]["terminal_observation"]["privileged"][4] == 1
    assert not np.isclose(obs["privileged"][:, :3], means).any()  # the next tasks'
    assert obs["privileged"][:, 4:].tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("algorithm", [RL2PPO, RL2TRPO])
def test_learning_is_from_training_rewards(algorithm: type[Model]) -> None:
    buffer = collect(privileged_model(algorithm))

    means = buffer.observations["privileged"][..., :3]
    pulled = np.take_along_axis(means, buffer.actions.astype(int), axis=2)[..., 0]
    np.testing.assert_allclose(buffer.rewards, pulled - means.max(axis=2), rtol=1e-5)
    assert (buffer.rewards < 0).any()
    assert set(np.unique(buffer.observations["reward"])) <= {0, 1}  # the agent's own are real


def evaluated(model: Model, prepared: bool) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
    """What a collected block tells, and the values and log-probabilities that may depend on it.

    :param prepared: as learning takes observations; else as they were collected
    """
    buffer = collect(model)
    obs = {key: th.as_tensor(part).flatten(0, 1) for key, part in buffer.observations.items()}
    told = obs["privileged"].requires_grad_()
    obs["memory"] = buffer.memory
    if prepared:
        obs = model.policy.prepare(obs)
        assert "observation" not in obs
    actions = th.as_tensor(buffer.actions).long().flatten()
    values, log_prob, _ = model.policy.evaluate_actions(obs, actions)
    return told, values, log_prob


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("network", [{}, {"value_network": "sums"}])
@pytest.mark.parametrize("action_reward", [False, True])
def test_the_value_depends_on_what_is_told_and_the_policy_does_not(
    action_reward: bool, network: dict[str, Any], prepared: bool
) -> None:
    features = {"action_reward": action_reward}
    model = privileged_model(features_extractor_kwargs=features, **network)
    told, values, log_prob = evaluated(model, prepared)

    (of_values,) = th.autograd.grad(values.sum(), told, retain_graph=True)
    assert (of_values.abs().sum(dim=0) > 0).all()
    (of_log_prob,) = th.autograd.grad(log_prob.sum(), told, allow_unused=True)
    assert of_log_prob is None


def test_the_agent_needs_none_of_it(tmp_path: Path) -> None:
    model = privileged_model()
    model.learn(6 * 4 * 2)
    model.save_agent(tmp_path / "agent.safetensors")

    plain = evaluate_trials(model, "bandit", n_trials=50, episodes=4, arms=3)
    loaded = load_agent(tmp_path / "agent.safetensors")
    again = evaluate_trials(loaded, "bandit", n_trials=50, episodes=4, arms=3)
    assert (plain.returns == again.returns).all()


@pytest.mark.parametrize("shared", [False, True])
def test_the_memory_learns_to_predict_what_is_told(shared: bool) -> None:
    """The gradient of the predictions' loss is added to the algorithm's own, whatever that is."""
    gradients: dict[float, dict[str, Any]] = {}
    for coef in (0.5, 1.5):
        model = privileged_model(prediction_coef=coef, shared=shared)
        batch = collect(model).columns(np.arange(6))
        policy = model.policy
        loss = Loss(clip_range=0.2, ent_coef=0.0, vf_coef=0.5)
        total, _ = loss(policy, batch, batch.actions.long().flatten())
        policy.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        gradients[coef] = {
            name: None if p.grad is None else p.grad.clone()
            for name, p in policy.named_parameters()
        }
        assert policy.prediction_net.last > 0
    weight = gradients[0.5].pop("prediction_net.weight")
    assert weight is not None
    assert weight.abs().sum() > 0
    th.testing.assert_close(gradients[1.5]["prediction_net.weight"], 3 * weight)
    name = "mlp_extractor.policy.memory.weight_hh"
    assert not th.allclose(gradients[0.5][name], gradients[1.5][name])  # the memory is taught


def test_predictions_come_true() -> None:
    """An arm's mean has a variance of 1/12 = .083, and its pulls tell it to a memory that counts.

    A memory that is not taught, whose predictions are, comes to .026.
    """
    trials = make_trials("bandit", n_envs=100, episodes=30, seed=3, privileged=True, arms=1)
    network = {"hidden_size": 16, "prediction_coef": 1.0, "shared": True}
    learning = {"learning_rate": 3e-3, "ent_coef": 0.0, "gae_lambda": 0.95}
    model = RL2PPO("GRUPolicy", trials, seed=0, policy_kwargs=network, **learning)
    model.learn(100 * 30 * 12)
    assert model.policy.prediction_net.last < 0.02


def test_predictions_need_something_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"prediction_coef=1.0: .*privileged=True"):
        RL2PPO("GRUPolicy", "bandit", policy_kwargs={"prediction_coef": 1.0})
    with pytest.raises(ValueError, match="prediction_coef=-1"):
        privileged_model(prediction_coef=-1)
    natural: Any = {"step": "conjugate-gradient", "policy_kwargs": {"prediction_coef": 1.0}}
    with pytest.raises(ValueError, match="step='first-order'"):
        RL2TRPO("GRUPolicy", "bandit", **natural)
    model = privileged_model(prediction_coef=1.0)
    model.save_agent(tmp_path / "agent.safetensors")
    agent = load_agent(tmp_path / "agent.safetensors")
    assert not any("prediction" in name for name in agent.policy.state_dict())


@pytest.mark.parametrize("network", [{}, {"prediction_coef": 1.0, "shared": True}])
def test_a_privileged_run_goes_on_where_it_stood(tmp_path: Path, network: Any) -> None:
    whole = privileged_model(**network)
    whole.learn(6 * 4 * 4)
    half = privileged_model(**network)
    half.learn(6 * 4 * 2)
    half.save(tmp_path / "half.zip")
    trials = make_trials("bandit", n_envs=6, episodes=4, privileged=True, arms=3)
    half = RL2PPO.load(tmp_path / "half.zip", trials, force_reset=False)
    half.learn(6 * 4 * 2, reset_num_timesteps=False)

    for ours, theirs in zip(whole.policy.parameters(), half.policy.parameters(), strict=True):
        assert (ours == theirs).all()


def test_wrappers_around_privileged_trials_are_refused(tmp_path: Path) -> None:
    """They change the reward's units, or lose what is learned from."""
    model = privileged_model()
    model.save(tmp_path / "model.zip")
    trials = make_trials("bandit", n_envs=6, episodes=4, privileged=True, arms=3)
    for wrapped in (VecMonitor(trials), VecNormalize(trials, norm_obs=False)):
        message = rf"Privileged trials in a {type(wrapped).__name__}.*make_trials\(..., privileged"
        with pytest.raises(ValueError, match=message):
            RL2PPO("GRUPolicy", wrapped)
        with pytest.raises(ValueError, match=message):
            model.set_env(wrapped)
        with pytest.raises(ValueError, match=message):
            RL2PPO.load(tmp_path / "model.zip", wrapped)
    RL2PPO("GRUPolicy", VecMonitor(make_trials("bandit", 6)))  # no matter if nothing is told


class Pictures(BernoulliBandit):
    """Bandits seen as images, whose channels SB3 moves to the front."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.observation_space = spaces.Box(0, 255, (24, 20, 3), np.uint8)

    def reset(self, params: Any, rng: np.random.Generator) -> Any:
        return None, np.zeros((len(params), 24, 20, 3), np.uint8)

    def step(self, params: Any, state: Any, action: Any, rng: np.random.Generator) -> Any:
        _, _, reward, ended = super().step(params, state, action, rng)
        return None, np.zeros((len(params), 24, 20, 3), np.uint8), reward, ended


def test_what_sb3_puts_around_images_is_no_matter(tmp_path: Path) -> None:
    def trials() -> Any:
        return make_trials(Pictures(arms=3), n_envs=2, episodes=4, privileged=True)

    model = RL2PPO("CnnGRUPolicy", trials(), policy_kwargs={"hidden_size": 8})
    assert isinstance(model.env, VecTransposeImage)
    model.save(tmp_path / "model.zip")
    loaded = RL2PPO.load(tmp_path / "model.zip", trials())
    loaded.set_env(model.env)
    buffer = collect(loaded)
    means = buffer.observations["privileged"][..., :3]
    pulled = np.take_along_axis(means, buffer.actions.astype(int), axis=2)[..., 0]
    np.testing.assert_allclose(buffer.rewards, pulled - means.max(axis=2), rtol=1e-5)
    assert (buffer.rewards < 0).any()


def test_who_tells_nothing_is_not_privileged() -> None:
    with pytest.raises(ValueError, match="Clockwork has no privileged observation"):
        make_trials(Clockwork(), privileged=True)
    with pytest.raises(ValueError, match="needs a task distribution"):
        make_trials(lambda: gym.make("CartPole-v1"), privileged=True)


@pytest.mark.parametrize("prepared", [False, True])
def test_a_shared_network_sees_nothing_of_it(prepared: bool) -> None:
    told, values, _ = evaluated(privileged_model(shared=True), prepared)
    (gradient,) = th.autograd.grad(values.sum(), told, allow_unused=True)
    assert gradient is None
