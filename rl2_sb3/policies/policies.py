"""GRUPolicy and CnnGRUPolicy: recurrent actor-critic policies for stable-baselines3.

Their methods take the observations of blocks of steps, see :mod:`rl2_sb3.policies.blocks`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from rl2_sb3.policies import popart
from rl2_sb3.policies.auxiliary import PredictionLoss
from rl2_sb3.policies.blocks import BlockNetworks, TensorDict
from rl2_sb3.policies.distributions import unchecked
from rl2_sb3.policies.earlier import rename_to_present
from rl2_sb3.policies.features import TrialCNN, TrialFeatures
from rl2_sb3.policies.networks import ActionHead, initialise
from rl2_sb3.policies.options import feature_options, products, read_options
from rl2_sb3.trials.checks import check_numbers
from rl2_sb3.trials.spaces import PRIVILEGED, is_trial_space


class Acted(NamedTuple):
    """What :meth:`GRUPolicy.act` gives; axis 0 is the environment."""

    actions: th.Tensor
    values: th.Tensor | None
    log_probs: th.Tensor
    memory: th.Tensor


class Evaluated(NamedTuple):
    """What :meth:`GRUPolicy.evaluate` gives of a block."""

    values: th.Tensor
    """``(rows, 1)``, in the value network's units."""
    distribution: Distribution
    """Of each row's action."""
    auxiliary: th.Tensor | None
    """What auxiliary losses add to the loss; ``None`` without any, or without gradients."""


class GRUPolicy(BlockNetworks):
    """Recurrent actor-critic policy over trials, by default with a GRU.

    :param observation_space: of the trials, see :func:`rl2_sb3.trials.spaces.trial_space`
    :param action_space: of the environment
    :param lr_schedule: learning rate
    :param activation_fn: activation of the dense layers
    :param log_std_init: initial log standard deviation, for continuous actions
    :param features_extractor_kwargs: they go before ``action_reward`` and ``state_action``
    :param options: the fields of :class:`rl2_sb3.config.PolicyConfig`, which has their defaults
    :raises ValueError: options that make no network, or an environment that has no trials
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        activation_fn: type[nn.Module] = nn.ReLU,
        log_std_init: float = 0.0,
        use_sde: bool = False,
        normalize_images: bool = True,
        features_extractor_class: type[BaseFeaturesExtractor] = TrialFeatures,
        features_extractor_kwargs: dict[str, Any] | None = None,
        optimizer_class: type[th.optim.Optimizer] = th.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ):
        if not is_trial_space(observation_space):
            raise ValueError(
                f"{type(self).__name__} needs the observations of trials, got {observation_space}. "
                "Wrap the environment in rl2_sb3.TrialWrapper, or use RL2PPO or RL2TRPO, which do."
            )
        if use_sde:
            raise ValueError("use_sde=True: actions are drawn anew in each step; see log_std_init.")
        assert isinstance(observation_space, spaces.Dict)
        told = features_extractor_kwargs or {}
        self.config = read_options({**options, **products(told)}, observation_space)
        self.privileged = PRIVILEGED in observation_space.spaces
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=[],
            activation_fn=activation_fn,
            ortho_init=False,
            log_std_init=log_std_init,
            features_extractor_class=features_extractor_class,
            features_extractor_kwargs=feature_options(
                self.config, features_extractor_class, told, self.privileged
            ),
            share_features_extractor=self.config.shared,
            normalize_images=normalize_images,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        if self.config.prediction_coef:
            assert isinstance(self.observation_space, spaces.Dict)
            inputs, coef = self.mlp_extractor.policy.outputs, self.config.prediction_coef
            self.prediction_net = PredictionLoss(inputs, self.observation_space, coef)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.action_dist = unchecked(self.action_dist)
        if self.mlp_extractor.policy.memory.of_actions:
            self.action_net = ActionHead(self.mlp_extractor.latent_dim_pi, self.action_space)
        self.value_scale: th.Tensor
        self.value_shift: th.Tensor
        self.register_buffer("value_scale", th.zeros(()))  # 0: no return has been seen yet
        self.register_buffer("value_shift", th.zeros(()))
        initialise(self, self.config.weight_norm)
        self.register_load_state_dict_pre_hook(rename_to_present)  # type: ignore[no-untyped-call]
        told = self.optimizer_kwargs.keys() & {"fused", "foreach", "differentiable"}
        if self.optimizer_class is th.optim.Adam and not told:  # all parameters in one call
            self.optimizer_kwargs = {"fused": True, **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            **asdict(self.config),
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "activation_fn": self.activation_fn,
            "log_std_init": self.log_std_init,
            "normalize_images": self.normalize_images,
            "features_extractor_class": self.features_extractor_class,
            "features_extractor_kwargs": self.features_extractor_kwargs,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }

    def auxiliary_losses(self) -> list[PredictionLoss]:
        """Losses beside the algorithm's own."""
        return [self.prediction_net] if self.config.prediction_coef else []

    def actor_parameters(self) -> list[nn.Parameter]:
        """The parameters that the actions depend on."""
        value = ["value_net.", "prediction_net."]
        if not self.config.shared:
            value += ["vf_features_extractor.", "mlp_extractor.value."]
        return [p for name, p in self.named_parameters() if not name.startswith(tuple(value))]

    @property
    def value_statistics(self) -> popart.Statistics:
        """Those of the returns that the value network's units are made of."""
        return popart.Statistics(float(self.value_scale), float(self.value_shift))

    def value_in_rewards(self, values: th.Tensor) -> th.Tensor:
        """Values in units of reward; the value network's own are normalised."""
        return popart.unnormalise(values, self.value_statistics)

    def normalise_values(self, returns: NDArray[np.floating]) -> None:
        """Follow the statistics of returns; values in units of reward stay as they are.

        The first call sets the units, and values begin; before it they are 0.
        """
        old = self.value_statistics
        new = popart.follow(old, returns)
        if old.seen:
            popart.correct_head(self.value_net, old, new)
        self.value_scale.fill_(new.scale)
        self.value_shift.fill_(new.shift)

    def act(self, obs: TensorDict, deterministic: bool = False, value: bool = True) -> Acted:
        """Choose actions; ``obs`` holds one step of each column, and ``memory``.

        :param value: say what the steps are worth, and carry the value network's memory on
        """
        latents = self.unroll(obs, value=value)
        distribution = self._distribution(latents.policy)
        actions = distribution.get_actions(deterministic=deterministic)
        return Acted(
            actions.reshape((-1, *(self.action_space.shape or ()))),
            None if latents.value is None else self.value_net(latents.value),
            distribution.log_prob(actions),
            latents.memory,
        )

    def forward(  # type: ignore[override]
        self, obs: TensorDict, deterministic: bool = False
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Actions, values and log-probabilities: :meth:`act` without the memory."""
        actions, values, log_probs, _ = self.act(obs, deterministic)
        assert values is not None
        return actions, values, log_probs

    def evaluate(self, obs: TensorDict) -> Evaluated:
        """What learning needs of a block: values, distributions of actions, auxiliary losses."""
        latents = self.unroll(obs)
        distribution, values = self._distribution(latents.policy), self.value_net(latents.value)
        auxiliary: th.Tensor | None = None
        if th.is_grad_enabled():
            assert latents.policy is not None
            for each in self.auxiliary_losses():
                loss = each.loss(latents.policy, obs)
                auxiliary = loss if auxiliary is None else auxiliary + loss
        return Evaluated(values, distribution, auxiliary)

    def evaluate_actions(  # type: ignore[override]
        self, obs: TensorDict, actions: th.Tensor
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor | None]:
        """:meth:`evaluate` in SB3's form: values, log-probabilities and entropies of the rows."""
        values, distribution, _ = self.evaluate(obs)
        return values, distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: TensorDict) -> Distribution:  # type: ignore[override]
        """The distribution of each row's action."""
        return self._distribution(self.unroll(obs, value=False).policy)

    def _distribution(self, latent: th.Tensor | None) -> Distribution:
        assert latent is not None
        return self._get_action_dist_from_latent(latent)

    def predict_values(self, obs: TensorDict) -> th.Tensor:  # type: ignore[override]
        """The value of each row, ``(rows, 1)``."""
        return self.follow_values(obs)[0]

    def follow_values(self, obs: TensorDict) -> tuple[th.Tensor, th.Tensor]:
        """The value of each row, ``(rows, 1)``, and the memory, its value network's part new."""
        latents = self.unroll(obs, policy=False)
        return self.value_net(latents.value), latents.memory

    def predict(
        self,
        observation: np.ndarray | dict[str, NDArray[Any]],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Choose actions with SB3's interface for recurrent policies.

        The memory is reset where ``episode_start`` or the observation's ``start`` says so.

        :param observation: of one trial or of many
        :param state: what the last call gave, ``None`` for new ones
        :return: actions, and the state ``(memory,)``, where the value network's part is idle
        :raises ValueError: no trial's observation, one not finite, or another number than states
        """
        if not isinstance(observation, dict):
            raise ValueError(
                f"A trial's observation is a dict, got {type(observation).__name__}: wrap the "
                "environment in rl2_sb3.TrialWrapper, or let rl2_sb3.load_agent act in it."
            )
        check_numbers(observation)
        self.set_training_mode(False)
        obs, vectorised = self.obs_to_tensor(observation)
        assert isinstance(obs, dict)
        columns = len(obs["start"])
        if state is None:
            obs["memory"] = self.initial_memory(columns)
        else:
            if len(state[0]) != columns:
                raise ValueError(f"The state has {len(state[0])} rows for {columns} observations.")
            obs["memory"] = th.as_tensor(state[0], device=self.device)
        if episode_start is not None:
            start = th.as_tensor(episode_start, device=self.device).reshape(-1, 1)
            obs["start"] = obs["start"].bool() | start.bool()
        with th.no_grad():
            latents = self.step(obs)
            distribution = self._distribution(latents.policy)
            chosen = distribution.get_actions(deterministic=deterministic)
        actions = chosen.reshape((-1, *(self.action_space.shape or ()))).cpu().numpy()
        if isinstance(self.action_space, spaces.Box):
            actions = np.clip(actions, self.action_space.low, self.action_space.high)
        return actions if vectorised else actions[0], (latents.memory.cpu().numpy(),)


class CnnGRUPolicy(GRUPolicy):
    """:class:`GRUPolicy` for images: the paper's convolutions before the memory."""

    def __init__(
        self,
        *spaces_and_rate: Any,
        features_extractor_class: type[BaseFeaturesExtractor] = TrialCNN,
        **options: Any,
    ):
        super().__init__(
            *spaces_and_rate, features_extractor_class=features_extractor_class, **options
        )
