from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import preprocess_obs

from rl2_sb3.policies.features import LAST, TrialCNN, TrialFeatures
from rl2_sb3.trials import trial_space


def test_features_are_state_action_reward_and_flag() -> None:
    space = trial_space(spaces.Discrete(3), spaces.Discrete(2))
    raw = {
        "observation": th.tensor([[2], [0]]),
        "action": th.tensor([[1], [0]]),
        "reward": th.tensor([[0.5], [-3.0]]),
        "done": th.tensor([[1], [0]]),
        "start": th.tensor([[0], [1]]),
    }
    obs = preprocess_obs(raw, space)
    assert isinstance(obs, dict)
    features = TrialFeatures(space)
    parts = {
        "observation": [[0, 0, 1], [1, 0, 0]],
        "action": [[0, 1], [1, 0]],
        "reward": [[0.5], [-3.0]],
        "done": [[1], [0]],
    }

    expected = th.cat([th.tensor(parts[key]) for key in space if key != "start"], dim=1)
    assert features.features_dim == 7
    assert (features(obs) == expected).all()


def test_the_product_of_action_and_reward() -> None:
    space = trial_space(spaces.Discrete(1), spaces.Discrete(2))
    raw = {
        "observation": th.tensor([[0], [0]]),
        "action": th.tensor([[1], [0]]),
        "reward": th.tensor([[0.5], [-3.0]]),
        "done": th.tensor([[1], [0]]),
        "start": th.tensor([[0], [0]]),
    }
    obs = preprocess_obs(raw, space)
    assert isinstance(obs, dict)
    plain, features = TrialFeatures(space), TrialFeatures(space, action_reward=True)

    assert features.features_dim == plain.features_dim + 2
    assert (features(obs)[:, :-2] == plain(obs)).all()
    assert features(obs)[:, -2:].tolist() == [[0, 0.5], [-3, 0]]


def test_the_products_of_state_and_action() -> None:
    space = trial_space(spaces.Discrete(3), spaces.Discrete(2))
    obs = {
        **{key: th.zeros(2, 3 if key == "observation" else 2) for key in ("observation", "action")},
        **{key: th.zeros(2, 1) for key in ("reward", "done", "start")},
        LAST: th.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]),
    }
    obs["action"][:, 1] = 1
    obs["reward"][:] = -3
    features = TrialFeatures(space, state_action=True)
    columns, seen = features.columns(), features(obs)

    assert seen.shape == (2, features.features_dim)
    pair = [0, 0, 0, 0, 0, 1]  # state 2, action 1; none on a trial's first step
    assert seen[:, columns["state_action"]].tolist() == [pair, [0] * 6]
    assert seen[:, columns["state_action_reward"]].tolist() == [[-3 * x for x in pair], [0] * 6]


@pytest.mark.parametrize(
    ("observation", "action", "culprit"),
    [
        (spaces.Box(0, 1, (2,)), spaces.Discrete(2), "the observation is Box"),
        (spaces.Dict({"x": spaces.Discrete(2)}), spaces.Discrete(2), "the observation is None"),
        (spaces.Discrete(2), spaces.MultiBinary(2), "the action is MultiBinary"),
    ],
)
def test_products_of_what_is_not_discrete_are_refused(
    observation: spaces.Space[Any], action: spaces.Space[Any], culprit: str
) -> None:
    with pytest.raises(ValueError, match=rf"state_action=True needs discrete.*{culprit}"):
        TrialFeatures(trial_space(observation, action), state_action=True)


def test_images_are_scaled_and_everything_else_is_seen() -> None:
    image = spaces.Box(0, 255, (3, 24, 20), np.uint8)
    space = trial_space(
        spaces.Dict({"image": image, "place": spaces.Discrete(4)}), spaces.Discrete(3)
    )
    network = TrialCNN(space, features_dim=8)
    seen: list[th.Tensor] = []
    convolutions = network.convolutions["observation_image"]
    convolutions.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    raw = {
        "observation_image": th.tensor([0, 255], dtype=th.uint8)[:, None, None, None].expand(
            2, 3, 24, 20
        ),
        "observation_place": th.tensor([1, 2]),
        "action": th.tensor([1, 2]),
        "reward": th.zeros(2, 1),
        "done": th.zeros(2, 1),
        "start": th.ones(2, 1),
    }
    obs = preprocess_obs(raw, space)
    assert isinstance(obs, dict)
    obs = {key: value.requires_grad_() for key, value in obs.items()}

    features = network(obs)

    assert features.shape == (2, 8)
    assert (seen[0][0] == -1).all()
    assert (seen[0][1] == 1).all()
    # 24x20 becomes 10x8, then 3x2, of 16 filters each.
    assert convolutions(seen[0]).shape == (2, 16 * 3 * 2)
    slopes = th.autograd.grad(features.sum(), list(obs.values()), allow_unused=True)
    unseen = {key for key, slope in zip(obs, slopes, strict=True) if slope is None}
    assert unseen == {"start"}
