"""What the network is fed at each step: the features of (s, a, r, d)."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from rl2_sb3.trials.spaces import OBSERVATION, PRIVILEGED

PIECE = 256
"""Images that go through the convolutions at once."""
LAST = "last_observation"
"""The observation that the last action was taken on, one-hot; zero on a trial's first step."""


def seen(observation_space: spaces.Dict, privileged: bool) -> list[str]:
    """The parts of the observation that are features of the policy, or of the value network."""
    hidden = ("start",) if privileged else ("start", PRIVILEGED)
    return [key for key in observation_space if key not in hidden]


class TrialFeatures(BaseFeaturesExtractor):
    """All parts of the trial's observation side by side, discrete ones one-hot.

    ``start`` is left out: it resets the memory and is no feature.

    :param action_reward: feed the product of action and reward as well: one unit can then add up
        what one action has earned
    :param state_action: feed the product of the last observation and the last action as well, alone
        and times the reward: one unit can then add up what one action has earned in one state. The
        policy keeps the last observation in its memory, and hands it in as ``last_observation``
    :param privileged: for the value network: the privileged observation is a feature too
    :raises ValueError: ``state_action`` where observations or actions are not discrete
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_reward: bool = False,
        state_action: bool = False,
        privileged: bool = False,
    ):
        self.keys = seen(observation_space, privileged)
        self.sizes = {key: get_flattened_obs_dim(observation_space[key]) for key in self.keys}
        if action_reward:
            self.sizes["action_reward"] = self.sizes["action"]
        if state_action:
            pairs = discrete(observation_space, OBSERVATION) * discrete(observation_space, "action")
            self.sizes |= {"state_action": pairs, "state_action_reward": pairs}
        super().__init__(observation_space, sum(self.sizes.values()))
        self.action_reward = action_reward
        self.state_action = state_action

    def columns(self) -> dict[str, slice]:
        """Where each part of the observation stands among the features."""
        ends = list(accumulate(self.sizes.values()))
        return {
            key: slice(end - size, end)
            for (key, size), end in zip(self.sizes.items(), ends, strict=True)
        }

    def forward(self, observations: dict[str, th.Tensor]) -> th.Tensor:
        """Features of preprocessed observations, ``(rows, features_dim)``."""
        parts = [observations[key].flatten(1) for key in self.keys]
        action, reward = observations["action"].flatten(1), observations["reward"]
        if self.action_reward:
            parts.append(action * reward)
        if self.state_action:
            pairs = (observations[LAST][:, :, None] * action[:, None, :]).flatten(1)
            parts += [pairs, pairs * reward]
        return th.cat(parts, dim=1)


def discrete(observation_space: spaces.Dict, key: str) -> int:
    """How many values a part of the observation has.

    :raises ValueError: a part that is not discrete
    """
    space: spaces.Space[Any] | None = observation_space.spaces.get(key)
    if not isinstance(space, spaces.Discrete):
        raise ValueError(
            f"state_action=True needs discrete observations and actions; the {key} is {space}. "
            "Leave it out."
        )
    return int(space.n)


class TrialCNN(BaseFeaturesExtractor):
    """The paper's embedding for images (appendix A).

    Images come as they are, in bytes, or scaled to [0, 1].

    Each image, scaled to [-1, 1], goes through two convolutions of 16 filters of 5x5 with stride 2;
    the last action is embedded; all of it, with reward, flag and other observations, through a
    dense layer.

    :param observation_space: of the trials, images channels first
    :param features_dim: width of the action's embedding and of the dense layer
    :param privileged: for the value network: the privileged observation is a feature too
    :raises ValueError: no image, or one too small for the convolutions
    """

    def __init__(
        self, observation_space: spaces.Dict, features_dim: int = 256, privileged: bool = False
    ):
        super().__init__(observation_space, features_dim)
        keys = seen(observation_space, privileged)
        sizes = {key: get_flattened_obs_dim(space) for key, space in observation_space.items()}
        self.images = [key for key, space in observation_space.items() if is_image_space(space)]
        self.others = [key for key in keys if key not in (*self.images, "action")]
        if not self.images:
            raise ValueError(
                "CnnGRUPolicy needs an image (a uint8 Box of three dimensions with bounds 0 and "
                f"255) in the observation, got {observation_space}. Use GRUPolicy instead."
            )
        self.convolutions = nn.ModuleDict()
        width = features_dim + sum(sizes[key] for key in self.others)
        for key in self.images:
            channels, *plane = observation_space[key].shape or ()
            height_out, width_out = (((side - 5) // 2 + 1 - 5) // 2 + 1 for side in plane)
            if height_out < 1 or width_out < 1:
                raise ValueError(
                    f"{key} is {plane[0]}x{plane[1]}: CnnGRUPolicy needs at least 13x13. "
                    "Use GRUPolicy, which flattens images."
                )
            self.convolutions[key] = nn.Sequential(
                nn.Conv2d(channels, 16, 5, stride=2),
                nn.ReLU(),
                nn.Conv2d(16, 16, 5, stride=2),
                nn.ReLU(),
                nn.Flatten(),
            ).to(memory_format=th.channels_last)  # type: ignore[call-overload]
            width += 16 * height_out * width_out
        self.action = nn.Sequential(nn.Linear(sizes["action"], features_dim), nn.ReLU())
        self.dense = nn.Sequential(nn.Linear(width, features_dim), nn.ReLU())

    def forward(self, observations: dict[str, th.Tensor]) -> th.Tensor:
        """Features of preprocessed observations, ``(rows, features_dim)``."""
        parts = []
        for key in self.images:
            # Channels last, and pieces that fit the cache: twice as fast on processors.
            pixels = observations[key]
            if pixels.device.type == "cpu" and not th.onnx.is_in_onnx_export():
                pieces = th.split(pixels, PIECE)
                parts.append(th.cat([self.convolutions[key](_scaled(piece)) for piece in pieces]))
            else:
                parts.append(self.convolutions[key](_scaled(pixels)))
        parts.append(self.action(observations["action"].flatten(1)))
        parts += [observations[key].flatten(1) for key in self.others]
        features: th.Tensor = self.dense(th.cat(parts, dim=1))
        return features


def _scaled(pixels: th.Tensor) -> th.Tensor:
    """Pixels in [-1, 1], channels last; from bytes, or from [0, 1]."""
    last = pixels.contiguous(memory_format=th.channels_last)
    ones = last.float() / 255 if pixels.dtype == th.uint8 else last
    return 2 * ones - 1
