"""The policy's options: complete by themselves, checked, and passed to what takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from rl2_sb3.config import PolicyConfig
from rl2_sb3.memories import GRU, LSTM, Sums
from rl2_sb3.policies import CnnGRUPolicy, GRUPolicy
from rl2_sb3.trials import trial_space

ARMS = spaces.Discrete(3)
IMAGE = spaces.Box(0, 255, (3, 13, 15), np.uint8)


def make_policy(
    kind: type[GRUPolicy] = GRUPolicy, observation: Any = None, **options: Any
) -> GRUPolicy:
    space = trial_space(observation or spaces.Discrete(4), ARMS)
    return kind(space, ARMS, lambda _: 1e-3, **options)


def test_the_defaults_are_those_of_the_configuration() -> None:
    policy = make_policy()
    assert policy.config == PolicyConfig(normalize_observations=False)  # for bounded ones
    core = policy.mlp_extractor.policy
    assert isinstance(core.memory, GRU)
    assert core.memory.output_size == PolicyConfig.hidden_size
    features: Any = policy.pi_features_extractor
    assert "action_reward" in features.sizes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden_size": 8}, r"No policy option 'hiden_size'\. Did you mean 'hidden_size'\?"),
        (
            {"memory": "gro"},
            r"No memory 'gro'\. Did you mean 'gru'\? Installed: action-gru, action-sums, "
            "fast-weights, gru, linear, lstm, pair-sums, sums, transition-graph, window",
        ),
        ({"value_network": "sum"}, "No memory 'sum'. Did you mean 'sums'"),
        ({"memory": "lstm", "candidate": "relu"}, "candidate='relu': the memory 'lstm' has no"),
        ({"memory": "lstm", "memory_steps": 9}, "memory_steps=9: the memory 'lstm' has no"),
        ({"memory": "lstm", "episode_units": 2}, "'lstm' is reset as a whole"),
        ({"memory": "lstm", "memory_kwargs": {"bias": 1}}, "memory_kwargs=.*'bias'"),
        ({"shared": True, "value_network": "sums"}, "a shared network has one memory"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_policy(**options)


def test_products_of_small_mdps_are_not_for_images() -> None:
    with pytest.raises(ValueError, match="TrialCNN has no such products"):
        make_policy(CnnGRUPolicy, IMAGE, state_action=True)


def test_what_features_are_told_goes_before_the_policys_options() -> None:
    policy = make_policy(
        action_reward=True, state_action=True, features_extractor_kwargs={"action_reward": False}
    )
    features: Any = policy.pi_features_extractor
    assert "action_reward" not in features.sizes
    assert "state_action" in features.sizes
    assert not policy.config.action_reward
    assert policy.layout.observation == 4


def test_each_memory_is_given_its_own_options() -> None:
    options: Any = {"memory_kwargs": {"forget_bias": 2.0}, "hidden_size": 8, "candidate": "relu"}
    policy = make_policy(memory="lstm", value_network="gru", memory_steps=9, **options)
    lstm, value = policy.mlp_extractor.policy.memory, policy.mlp_extractor.value
    assert isinstance(lstm, LSTM)
    assert (lstm.bias[8:16] == 2).all()
    assert value is not None
    assert isinstance(value.memory, GRU)
    assert value.memory.candidate == "relu"
    assert (value.memory.bias[8:16] >= 0).all()
    assert policy.layout == (16, 8, 0)


def test_a_value_network_over_sums_has_layers_of_its_own() -> None:
    policy = make_policy(value_network="sums", layers_before=[6], layers_after=[5], skip=True)
    value = policy.mlp_extractor.value
    assert value is not None
    assert isinstance(value.memory, Sums)
    assert value.fixed
    assert [part.out_features for part in value.after if isinstance(part, th.nn.Linear)] == [
        128,
        128,
    ]
    assert policy.layout.value == policy.vf_features_extractor.features_dim
    alone = make_policy(memory="sums", layers_before=[6], layers_after=[5]).mlp_extractor.policy
    assert alone.memory.state_size == 6
    assert not alone.fixed  # a layer comes before it
