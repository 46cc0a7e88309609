"""Losses beside the algorithm's own, which teach the memory what to remember."""

from __future__ import annotations

from typing import ClassVar

import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim
from torch import nn
from torch.nn import functional as F

from rl2_sb3.trials.spaces import PRIVILEGED


class PredictionLoss(nn.Linear):
    """Mean squared error of predicting the privileged observation from the policy's latent.

    The memory is taught what to remember, and the agent never sees what it is (Humplik et al.
    2019). The module is the linear layer that predicts.

    :param inputs: size of the latent
    :param observation_space: of the trials
    :param coef: weight of the loss
    """

    name: ClassVar[str] = "prediction_loss"

    def __init__(self, inputs: int, observation_space: spaces.Dict, coef: float):
        super().__init__(inputs, get_flattened_obs_dim(observation_space[PRIVILEGED]))
        self.coef = coef
        self.last = float("nan")
        """Mean squared error of the last minibatch, without its weight."""

    def loss(self, latent: th.Tensor, obs: dict[str, th.Tensor]) -> th.Tensor:
        """What a minibatch adds to the algorithm's loss.

        :param latent: of the policy, ``(rows, inputs)``
        :param obs: of the same rows; ``privileged`` is the target
        """
        error = F.mse_loss(self(latent), obs[PRIVILEGED])
        self.last = error.item()
        return self.coef * error
