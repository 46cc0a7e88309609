import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from safetensors import safe_open
from torch import nn

from rl2_sb3 import RL2PPO, load_agent, make_trials
from rl2_sb3.agent_checks import read_space, space_to_json
from rl2_sb3.agent_file import (
    agent_file,
    describe_agent,
    is_acting,
    save_agent,
)
from tests.envs import image_env


def bandit_model(**network: Any) -> RL2PPO:
    env = make_trials("bandit", 16, 4, seed=0, arms=3)
    model = RL2PPO("GRUPolicy", env, seed=0, policy_kwargs={"hidden_size": 8, **network})
    return model.learn(2 * 16 * 4)


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"shared": True},
        {"weight_norm": True},
        {"layers_before": [6], "candidate": "relu"},
        {"memory": "lstm", "value_network": "sums", "layers_after": [6]},
        {"memory": "sums", "features_extractor_kwargs": {"action_reward": False}},
    ],
)
def test_a_loaded_agent_acts_as_the_model(network: Any, tmp_path: Any) -> None:
    model = bandit_model(**network)
    model.save_agent(tmp_path / "a.safetensors", task="bandit", options={"arms": 3})
    agent: Any = load_agent(tmp_path / "a.safetensors")
    told = {"task": "bandit", "options": {"arms": 3}, "steps": 128, "episodes": 4}
    assert agent.info.items() >= told.items()
    env: Any = make_trials("bandit", 5, 4, seed=3, arms=3)
    ours: Any = None
    theirs: Any = None
    obs = env.reset()
    for _ in range(9):  # into the third trial
        expected, theirs = model.predict(obs, theirs, deterministic=True)
        actions, ours = agent.predict(obs, ours, deterministic=True)
        np.testing.assert_array_equal(actions, expected)
        own = theirs[0][:, : model.policy.layout.policy]  # the policy's part of the memory
        np.testing.assert_allclose(ours[0], own, atol=1e-6)
        obs, *_ = env.step(actions)


@pytest.mark.parametrize("network", [{}, {"shared": True, "weight_norm": True}])
def test_an_agent_for_images_is_loaded(network: Any, tmp_path: Any) -> None:
    env = make_trials(image_env, 2, episodes=2, seed=0)
    options = {"hidden_size": 8, **network}
    model = RL2PPO("CnnGRUPolicy", env, n_steps=8, seed=0, policy_kwargs=options).learn(32)
    model.save_agent(tmp_path / "a.safetensors")
    agent: Any = load_agent(tmp_path / "a.safetensors")
    trials: Any = make_trials(image_env, 3, episodes=2, seed=1)
    obs = trials.reset()
    ours: Any = None
    theirs: Any = None
    for _ in range(5):
        expected, theirs = model.predict(obs, theirs, deterministic=True)
        actions, ours = agent.predict(obs, ours, deterministic=True)
        np.testing.assert_array_equal(actions, expected)
        obs, *_ = trials.step(actions)


def test_act_and_observe_feed_what_trials_feed(tmp_path: Any) -> None:
    """On a plain environment the agent does what it does on trials of the same one."""
    env = make_trials("CartPole-v1", 1, episodes=3, seed=0)
    model = RL2PPO("GRUPolicy", env, n_steps=32, seed=0, policy_kwargs={"hidden_size": 8})
    model.learn(64)
    model.save_agent(tmp_path / "a.safetensors")
    agent: Any = load_agent(tmp_path / "a.safetensors")

    trials: Any = make_trials("CartPole-v1", 1, episodes=3, seed=5)
    obs, state, on_trials, over = trials.reset(), None, [], False
    seed = trials.envs[0]._task
    while not over:
        action, state = model.predict(obs, state, deterministic=True)
        obs, _, (over,), _ = trials.step(action)
        on_trials.append(action[0])

    plain, on_plain = gym.make("CartPole-v1"), []
    agent.reset()
    for _ in range(3):
        observation, _ = plain.reset(seed=seed)
        ended = False
        while not ended:
            on_plain.append(agent.act(observation, deterministic=True))
            observation, reward, terminated, truncated, _ = plain.step(on_plain[-1])
            ended = terminated or truncated
            agent.observe(reward, ended)
    assert on_plain == on_trials


def test_many_trials_at_once_are_as_one_by_one(tmp_path: Any) -> None:
    bandit_model().save_agent(tmp_path / "a.safetensors")
    rewards = np.array([[1, 0, 1, 1], [0, 0, 1, 0]], np.float32)
    agent: Any = load_agent(tmp_path / "a.safetensors")
    agent.reset(2)
    together = []
    for reward in rewards.T:
        together.append(agent.act(np.zeros(2, int), deterministic=True))
        agent.observe(reward, np.ones(2, bool))
    for trial in range(2):
        agent.reset()
        for t, reward in enumerate(rewards[trial]):
            assert agent.act(0, deterministic=True) == together[t][trial]
            agent.observe(reward, True)


def test_what_is_not_finite_is_refused_and_leaves_the_agent_as_it_was(tmp_path: Any) -> None:
    trials = make_trials(lambda: gym.make("CartPole-v1"), 2, 2)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 4}, seed=0)
    model.save_agent(tmp_path / "a.safetensors")
    agent: Any = load_agent(tmp_path / "a.safetensors")
    agent.reset(2)
    fine = np.zeros((2, 4), np.float32)
    for wrong in (np.nan, np.inf, -np.inf):
        broken = fine.copy()
        broken[1, 2] = wrong
        for deterministic in (False, True):
            with pytest.raises(ValueError, match=rf"handed observation {wrong}, not a finite num"):
                agent.act(broken, deterministic)
    agent.act(fine)
    for reward, done, told in (
        ([1.0, np.nan], [False, False], "handed a reward of nan, not a finite number"),
        ([1.0, 1e39], [False, False], "handed a reward of 1e.39, not a finite number"),
        ([1.0, 1.0], [0, 2], "handed an episode's end .*2.*, which is neither true nor false"),
    ):
        with pytest.raises(ValueError, match=told):
            agent.observe(reward, done)
    agent.observe([1, 2], [0, 1])
    agent.act(fine)
    seen = {**trials.reset()}  # type: ignore[dict-item]
    seen["reward"] = np.full_like(seen["reward"], np.nan)
    with pytest.raises(ValueError, match="handed reward nan"):
        model.predict(seen, deterministic=True)


def test_reset_forgets_and_calls_out_of_order_are_refused(tmp_path: Any) -> None:
    bandit_model().save_agent(tmp_path / "a.safetensors")
    agent: Any = load_agent(tmp_path / "a.safetensors")
    with pytest.raises(RuntimeError, match="reset"):
        agent.act(0)
    agent.reset()
    with pytest.raises(RuntimeError, match="act"):
        agent.observe(1.0, True)
    agent.act(0)
    with pytest.raises(RuntimeError, match="observe"):
        agent.act(0)
    agent.observe(1.0, True)
    first = agent._state[0].copy()
    agent.act(0)
    assert not np.array_equal(agent._state[0], first)
    agent.reset()
    agent.act(0)
    np.testing.assert_array_equal(agent._state[0], first)


def test_the_file_holds_tensors_and_json_only(tmp_path: Any) -> None:
    bandit_model().save_agent(tmp_path / "a.safetensors", task="bandit")
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        description = json.loads(file.metadata()["rl2_sb3"])
        names = list(file.keys())
    assert description["info"]["task"] == "bandit"
    assert not any("value" in name or "vf_" in name for name in names)


@pytest.mark.parametrize("name", ["bandit-k5-n10", "bandit-k50-n500-imitation"])
def test_a_file_of_format_1_is_read(name: str, tmp_path: Any) -> None:
    """Its options had other defaults, its GRU another name; saved again it is of this format."""
    folder = Path(__file__).parents[1] / "plugins" / "rl2-checkpoints" / "rl2_checkpoints"
    path = folder / f"{name}.safetensors"
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["rl2_sb3"])["format"] == 1
        gru = file.get_tensor("mlp_extractor.policy.gru.weight_hh")
    assert describe_agent(path)["network"]["action_reward"] is (name != "bandit-k5-n10")

    agent = load_agent(path)
    memory: Any = agent.policy.mlp_extractor.policy.memory
    assert th.equal(memory.weight_hh, gru)
    save_agent(agent.policy, tmp_path / "again.safetensors", **agent.info)
    again = load_agent(tmp_path / "again.safetensors")
    with safe_open(tmp_path / "again.safetensors", "pt") as file:
        assert json.loads(file.metadata()["rl2_sb3"])["format"] == 2
    assert again.info == agent.info
    ours, theirs = again.policy.state_dict(), agent.policy.state_dict()
    acting = list(filter(is_acting, theirs))
    assert [key for key in acting if not th.equal(ours[key], theirs[key])] == []


def test_a_file_tells_that_the_value_network_saw_the_task(tmp_path: Any) -> None:
    for privileged in (False, True):
        trials = make_trials("bandit", 4, 2, privileged=privileged)
        model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 4})
        model.save_agent(tmp_path / "a.safetensors")
        info = load_agent(tmp_path / "a.safetensors").info
        assert info.get("privileged", False) is privileged


def test_clear_errors(tmp_path: Any) -> None:
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="begun holds a run that has no agent yet"):
        load_agent(tmp_path / "begun")
    with pytest.raises(ValueError, match="no run or agent's file"):
        load_agent(tmp_path / "missing.safetensors")
    with pytest.raises(ValueError, match="No agent 'bandit-k10'"):
        load_agent("bandit-k10")
    broken = tmp_path / "broken.safetensors"
    bandit_model().save_agent(broken)
    broken.write_bytes(broken.read_bytes()[:-50])
    with pytest.raises(ValueError, match="damaged"):
        load_agent(broken)
    (tmp_path / "text.safetensors").write_text("not a safetensors file")
    with pytest.raises(ValueError, match="damaged"):
        load_agent(tmp_path / "text.safetensors")
    bandit_model().save(tmp_path / "model.zip")
    with pytest.raises(ValueError, match=r"model.zip is the archive of a model.*use RL2PPO\.load"):
        load_agent(tmp_path / "model.zip")


def test_a_folder_stands_for_the_agent_in_it(tmp_path: Any) -> None:
    bandit_model().save_agent(tmp_path / "agent.safetensors")
    assert agent_file(tmp_path) == tmp_path / "agent.safetensors"
    assert load_agent(tmp_path).info["episodes"] == 4


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1, np.array([1, 2], np.float32)),
        spaces.Box(-np.inf, np.inf, (2, 3)),
        spaces.Box(0, 255, (3, 20, 20), np.uint8),
        spaces.Discrete(3),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiDiscrete([20] * 10),
        spaces.MultiBinary(4),
        spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(0, 1, (1,))}),
    ],
)
def test_spaces_survive_json(space: Any) -> None:
    assert read_space(json.loads(json.dumps(space_to_json(space)))) == space


class Swish(nn.SiLU):
    """An activation of one's own."""


def test_own_activations_are_named_where_they_can_be_imported(tmp_path: Any) -> None:
    bandit_model(activation_fn=Swish, layers_before=[4]).save_agent(tmp_path / "a.safetensors")
    assert describe_agent(tmp_path / "a.safetensors")["activation"] == "tests.test_agent:Swish"
    agent = load_agent(tmp_path / "a.safetensors")
    assert agent.policy.activation_fn is Swish

    class Local(nn.SiLU):
        pass

    with pytest.raises(ValueError, match=r"Local of tests.test_agent cannot be imported by name"):
        bandit_model(activation_fn=Local)
