"""Networks for views of a few cells, which the paper's convolutions do not fit."""

from __future__ import annotations

from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from rl2_minigrid.env import KINDS
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.policies.features import seen

VIEW = "observation_view"
EMBEDDED, FILTERS, KERNEL = 8, 16, 3


class ViewFeatures(BaseFeaturesExtractor):
    """Convolutions over the view, and all of the trial's observation through a dense layer.

    Each cell is the sum of the embeddings of its object, its colour and its state, 8 numbers; then
    come convolutions of 16 filters of 3x3, two of them where the view has 5 cells a side or more.

    :param observation_space: of trials of ``minigrid``
    :param features_dim: width of the dense layer
    :param privileged: for the value network: the privileged observation is a feature too
    :raises ValueError: no view among the observations
    """

    def __init__(
        self, observation_space: spaces.Dict, features_dim: int = 128, privileged: bool = False
    ):
        super().__init__(observation_space, features_dim)
        if VIEW not in observation_space.spaces:
            raise ValueError(
                f"MiniGridPolicy needs the observations of minigrid's tasks, got "
                f"{observation_space}. Use GRUPolicy instead."
            )
        self.others = [key for key in seen(observation_space, privileged) if key != VIEW]
        self.embedding = nn.Embedding(sum(KINDS), EMBEDDED)
        firsts = th.tensor([sum(KINDS[:number]) for number in range(len(KINDS))])
        self.firsts: th.Tensor
        self.register_buffer("firsts", firsts, persistent=False)
        layers: list[nn.Module] = []
        channels, side = EMBEDDED, (observation_space[VIEW].shape or (0,))[0]
        for _ in range(2 if side >= 2 * KERNEL - 1 else 1):
            layers += [nn.Conv2d(channels, FILTERS, KERNEL), nn.ReLU()]
            channels, side = FILTERS, side - KERNEL + 1
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        width = channels * side**2
        width += sum(get_flattened_obs_dim(observation_space[key]) for key in self.others)
        self.dense = nn.Sequential(nn.Linear(width, features_dim), nn.ReLU())

    def forward(self, observations: dict[str, th.Tensor]) -> th.Tensor:
        """Features of preprocessed observations, ``(rows, features_dim)``."""
        numbers = observations[VIEW].long() + self.firsts  # (rows, view, view, 3)
        cells = self.embedding(numbers).sum(dim=-2).permute(0, 3, 1, 2)
        parts = [self.convolutions(cells)]
        parts += [observations[key].flatten(1) for key in self.others]
        features: th.Tensor = self.dense(th.cat(parts, dim=1))
        return features


class MiniGridPolicy(GRUPolicy):
    """:class:`GRUPolicy` with :class:`ViewFeatures` before the memory."""

    def __init__(
        self,
        *spaces_and_rate: Any,
        features_extractor_class: type[BaseFeaturesExtractor] = ViewFeatures,
        **options: Any,
    ):
        super().__init__(
            *spaces_and_rate, features_extractor_class=features_extractor_class, **options
        )
