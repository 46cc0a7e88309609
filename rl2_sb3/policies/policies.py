"""GRUPolicy and CnnGRUPolicy: recurrent actor-critic policies for stable-baselines3.

Every method takes the observations of a *block*, time-major: row ``t * columns + i`` is step ``t``
of column ``i``. ``obs["memory"]``, of shape ``(columns, memory_size)``, is the state before the
block's first step; its number of rows tells the number of columns. So a step of many environments
is a block of one step, SB3's own ``train`` methods get whole trials through the signatures that
they know, and the memory is reset where ``obs["start"]`` says, nowhere else.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm as add_weight_norm

from rl2_sb3.policies.distributions import unchecked
from rl2_sb3.policies.features import LAST, TrialCNN, TrialFeatures
from rl2_sb3.policies.gru import Candidate, Precision, dense_products, has_bf16
from rl2_sb3.policies.networks import Cores, RecurrentCore, SumsCore
from rl2_sb3.trials.spaces import OBSERVATION, PRIVILEGED, is_trial_space

TensorDict = dict[str, th.Tensor]
ValueNetwork = Literal["gru", "sums"]


class Acted(NamedTuple):
    """What :meth:`GRUPolicy.act` gives; axis 0 is the environment."""

    actions: th.Tensor
    values: th.Tensor | None
    log_probs: th.Tensor
    memory: th.Tensor


class _WithLoss(th.autograd.Function):
    """A tensor as it is, whose backward pass adds the gradient of a loss."""

    @staticmethod
    def forward(ctx: Any, values: th.Tensor, loss: th.Tensor) -> th.Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, grad_values: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        return grad_values, th.ones((), device=grad_values.device)


class GRUPolicy(ActorCriticPolicy):
    """Recurrent actor-critic policy over trials.

    :param observation_space: of the trials, see :func:`rl2_sb3.trials.spaces.trial_space`
    :param action_space: of the environment
    :param lr_schedule: learning rate
    :param hidden_size: units of the GRU
    :param layers_before: widths of the dense layers between the features and the GRU
    :param layers_after: widths of the dense layers between the GRU and the heads
    :param activation_fn: activation of those layers
    :param skip: the layers after the GRU see the features too, so that the present step can choose
        what to read from the memory
    :param memory_steps: initial weights that remember over so many steps, see :class:`GRU`
    :param candidate: activation of the GRU's candidate state
    :param shared: one network for policy and value, which does not see what privileged trials
        tell; by default each has its own, and the value's sees it
    :param value_network: ``"gru"`` like the policy's, or ``"sums"``: layers over the features and
        their sums since the trial's start (see :class:`SumsCore`)
    :param weight_norm: weight normalisation (Salimans & Kingma 2016) of all weight matrices
    :param episode_units: so many units of the GRU are reset at each episode's start as well (the
        variant in the paper's section 2.3)
    :param prediction_coef: weight of a loss in training by which the policy's memory learns to
        predict what privileged trials tell of the task, as mean squared error (Humplik et al.
        2019): it is taught what to remember, and the agent never sees what it is
    :param precision: of the products of the GRU, of dense layers and of convolutions; the
        parameters stay fp32
    :param log_std_init: initial log standard deviation, for continuous actions
    :raises ValueError: options that make no network, or an environment that has no trials
    """

    mlp_extractor: Cores  # type: ignore[assignment]

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        hidden_size: int = 256,
        layers_before: list[int] | None = None,
        layers_after: list[int] | None = None,
        activation_fn: type[nn.Module] = nn.ReLU,
        skip: bool = False,
        memory_steps: int = 0,
        candidate: Candidate = "tanh",
        shared: bool = False,
        value_network: ValueNetwork = "gru",
        weight_norm: bool = False,
        episode_units: int = 0,
        prediction_coef: float = 0.0,
        precision: Precision = "fp32",
        log_std_init: float = 0.0,
        use_sde: bool = False,
        normalize_images: bool = True,
        features_extractor_class: type[BaseFeaturesExtractor] = TrialFeatures,
        features_extractor_kwargs: dict[str, Any] | None = None,
        optimizer_class: type[th.optim.Optimizer] = th.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ):
        if not is_trial_space(observation_space):
            raise ValueError(
                f"{type(self).__name__} needs the observations of trials, got {observation_space}. "
                "Wrap the environment in rl2_sb3.TrialWrapper, or use RL2PPO or RL2TRPO, which do."
            )
        if use_sde:
            raise ValueError("use_sde=True is not supported by recurrent policies here.")
        if candidate not in ("tanh", "relu"):
            raise ValueError(f"candidate={candidate!r}: use 'tanh' or 'relu'.")
        if value_network not in ("gru", "sums") or (shared and value_network != "gru"):
            raise ValueError(
                f"value_network={value_network!r}, shared={shared}: use 'gru', or 'sums' with "
                "shared=False."
            )
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"precision={precision!r}: use 'fp32' or 'bf16'.")
        if not 0 <= episode_units <= hidden_size or hidden_size < 1:
            raise ValueError(
                f"hidden_size={hidden_size}, episode_units={episode_units}: a GRU has at least one "
                "unit, and from none to all of them can be episode_units."
            )
        if memory_steps < 0 or memory_steps == 1:
            raise ValueError(f"memory_steps={memory_steps}: 0 for none, or 2 and more.")
        self.network: dict[str, Any] = {
            "hidden_size": hidden_size,
            "layers_before": list(layers_before or []),
            "layers_after": list(layers_after or []),
            "skip": skip,
            "memory_steps": memory_steps,
            "candidate": candidate,
            "shared": shared,
            "value_network": value_network,
            "weight_norm": weight_norm,
            "episode_units": episode_units,
            "precision": precision,
        }
        assert isinstance(observation_space, spaces.Dict)
        self.privileged = PRIVILEGED in observation_space.spaces
        if prediction_coef < 0 or (prediction_coef and not self.privileged):
            raise ValueError(
                f"prediction_coef={prediction_coef}: 0 or more; above 0 the memory predicts what "
                "privileged trials tell, so it needs --privileged, make_trials(..., "
                "privileged=True)."
            )
        self.prediction_coef = prediction_coef
        self.prediction_loss = float("nan")
        """Mean squared error of the last minibatch's predictions."""
        self.hidden_size, self.shared, self.episode_units = hidden_size, shared, episode_units
        self.memory_size = hidden_size if shared else 2 * hidden_size
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=[],
            activation_fn=activation_fn,
            ortho_init=False,
            log_std_init=log_std_init,
            features_extractor_class=features_extractor_class,
            features_extractor_kwargs=features_extractor_kwargs,
            share_features_extractor=shared,
            normalize_images=normalize_images,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def _build_mlp_extractor(self) -> None:
        def core(features: BaseFeaturesExtractor) -> RecurrentCore:
            return RecurrentCore(
                features.features_dim,
                self.network["layers_before"],
                self.network["layers_after"],
                self.activation_fn,
                self.hidden_size,
                *(self.network["candidate"], self.network["precision"]),
                *(self.network["skip"], self.network["memory_steps"]),
            )

        if self.privileged and not self.shared:
            told = {**self.features_extractor_kwargs, "privileged": True}
            self.vf_features_extractor = self.features_extractor_class(
                self.observation_space, **told
            )
        policy = core(self.pi_features_extractor)
        value: RecurrentCore | SumsCore | None = None
        if self.network["value_network"] == "sums":
            value = SumsCore(
                self.vf_features_extractor.features_dim,
                self.activation_fn,
                self.network["precision"],
            )
            self.memory_size = self.hidden_size + value.size
        elif not self.shared:
            value = core(self.vf_features_extractor)
        self.mlp_extractor = Cores(policy, value)
        # No parameter has a part in our own features, and the two see the same but for what
        # privileged trials tell.
        extractors = self.pi_features_extractor, self.vf_features_extractor
        self.fixed_features = all(type(extractor) is TrialFeatures for extractor in extractors)
        self.same_features = self.fixed_features and not self.privileged
        if self.prediction_coef:
            assert isinstance(self.observation_space, spaces.Dict)
            told_size = get_flattened_obs_dim(self.observation_space[PRIVILEGED])
            self.prediction_net = nn.Linear(policy.outputs, told_size)
        self.kept = 0  # the last observation's size, where the policy keeps it in its memory
        extractor = self.pi_features_extractor
        if isinstance(extractor, TrialFeatures) and extractor.state_action:
            self.kept = extractor.sizes[OBSERVATION]
            self.memory_size += self.kept

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.action_dist = unchecked(self.action_dist)
        self.value_scale: th.Tensor
        self.value_shift: th.Tensor
        self.register_buffer("value_scale", th.zeros(()))  # 0: no return has been seen yet
        self.register_buffer("value_shift", th.zeros(()))
        for module in list(self.modules()):
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if self.network["weight_norm"]:
                for name in ("weight", "weight_ih", "weight_hh"):
                    if isinstance(getattr(module, name, None), nn.Parameter):
                        add_weight_norm(module, name)
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
            **self.network,
            "prediction_coef": self.prediction_coef,
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

    def actor_parameters(self) -> list[nn.Parameter]:
        """The parameters that the actions depend on."""
        value = ["value_net.", "prediction_net."]
        if not self.shared:
            value += ["vf_features_extractor.", "mlp_extractor.value."]
        return [p for name, p in self.named_parameters() if not name.startswith(tuple(value))]

    def value_in_rewards(self, values: th.Tensor) -> th.Tensor:
        """Values in units of reward; the value network's own are normalised."""
        return values * self.value_scale + self.value_shift

    @th.no_grad()
    def normalise_values(self, returns: NDArray[np.floating], rate: float = 0.1) -> None:
        """Follow the mean and the standard deviation of returns; values stay as they are.

        The first call sets the units, and values begin; before it they are 0.

        PopArt (van Hasselt et al. 2016): a value network that predicts normalised returns learns
        at the same pace whatever the rewards' size and the trial's length.
        """
        mean = float(returns.mean())
        std = max(float(returns.std()), 1e-6 * abs(mean), 1e-8)
        old_scale, old_shift = float(self.value_scale), float(self.value_shift)
        seen = old_scale > 0
        scale = old_scale + rate * (std - old_scale) if seen else std
        shift = old_shift + rate * (mean - old_shift) if seen else mean
        if seen:
            head = self.value_net
            weight_norms = getattr(head, "parametrizations", None)
            weight = weight_norms.weight.original0 if weight_norms is not None else head.weight
            weight.mul_(old_scale / scale)
            head.bias.mul_(old_scale / scale).add_((old_shift - shift) / scale)
        self.value_scale.fill_(scale)
        self.value_shift.fill_(shift)

    def initial_memory(self, columns: int) -> th.Tensor:
        """The memory of new trials: zeros ``(columns, memory_size)``."""
        return th.zeros(columns, self.memory_size, device=self.device)

    def prepare(self, obs: TensorDict) -> TensorDict:
        """What of a block the parameters have no part in, to be computed once for many passes.

        Every method takes what this gives in the observations' place, or some of its columns.

        :param obs: a block's observations, and ``memory``
        :return: the same where features are not our own; else tensors of the same rows, with
            ``features`` among them, and ``value_features`` where those are others
        """
        if not self.fixed_features:
            return obs
        features, value_features, _ = self._features(obs)
        prepared = {key: obs[key] for key in ("memory", "start", "done")}
        if self.prediction_coef:
            prepared[PRIVILEGED] = obs[PRIVILEGED]
        if isinstance(self.mlp_extractor.value, SumsCore):
            keep = self._keep(obs, len(obs["memory"]), episode_units=0)
            sums = obs["memory"][:, self.hidden_size :][:, : self.mlp_extractor.value.size]
            value_features, sums = self.mlp_extractor.value.see(
                value_features, sums * keep[0], keep
            )
            prepared["last_sums"] = sums
            if self.network["precision"] == "bf16" and has_bf16(self.device):
                value_features = value_features.bfloat16()  # as the layers would, each time
        if value_features is not features:
            prepared["value_features"] = value_features
        return {**prepared, "features": features}

    def _features(
        self, obs: TensorDict, policy: bool = True, value: bool = True
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Features of the networks asked for, and the last observation, where it is kept."""
        rows = {key: x for key, x in obs.items() if key != "memory"}
        memory, last = obs["memory"], obs["memory"][:, self.memory_size - self.kept :]
        # Ours scales images itself, in pieces that fit the cache.
        extractor = self.pi_features_extractor
        images = {}
        if self.normalize_images and type(extractor) is TrialCNN:
            images = {key: rows.pop(key) for key in extractor.images}
        parts: Any = preprocess_obs(rows, self.observation_space, self.normalize_images)
        parts |= images
        if self.kept:
            now = parts[OBSERVATION].flatten(1)
            before = th.cat([last, now])[: len(now)]
            parts[LAST], last = before * (1 - obs["start"].float().view(-1, 1)), now[-len(last) :]
        none = memory.new_empty(0)
        pi = self._extract(self.pi_features_extractor, parts) if policy or self.shared else none
        alike = self.vf_features_extractor is self.pi_features_extractor or self.same_features
        if not value or self.shared or (alike and policy):
            return pi, pi, last
        return pi, self._extract(self.vf_features_extractor, parts), last

    def _unroll(
        self, obs: TensorDict, policy: bool = True, value: bool = True
    ) -> tuple[th.Tensor | None, th.Tensor | None, th.Tensor]:
        """Run the networks asked for over a block: latents of policy and value, last memory."""
        memory = obs["memory"]
        own = self.memory_size - self.kept
        pi_memory, vf_memory = memory[:, : self.hidden_size], memory[:, self.hidden_size : own]
        if "features" in obs:
            features, last = obs["features"], memory[:, own:]
            value_features = obs.get("value_features", features)
        else:
            features, value_features, last = self._features(obs, policy, value)
        keep = self._keep(obs, len(memory), self.episode_units)
        latent_pi = latent_vf = None
        if policy or self.shared:
            latent_pi, pi_memory = self._run(self.mlp_extractor.policy, features, pi_memory, keep)
            latent_vf = latent_pi if self.shared else None
        core = self.mlp_extractor.value
        if value and isinstance(core, SumsCore):
            if "features" in obs:
                vf_memory = obs["last_sums"]
            else:
                keep = self._keep(obs, len(memory), episode_units=0)
                value_features, vf_memory = core.see(value_features, vf_memory * keep[0], keep)
            latent_vf = core(value_features)
        elif value and isinstance(core, RecurrentCore):
            latent_vf, vf_memory = self._run(core, value_features, vf_memory, keep)
        return latent_pi, latent_vf, th.cat([pi_memory, vf_memory, last], dim=1)

    def _extract(self, extractor: nn.Module, parts: Any) -> th.Tensor:
        with dense_products(self.device, self.network["precision"]):
            features: th.Tensor = extractor(parts)
        return features.float()

    def _keep(self, obs: TensorDict, columns: int, episode_units: int) -> th.Tensor:
        """0 where the memory is reset, else 1: ``(steps, columns, 1 or hidden_size)``."""
        keep = 1 - obs["start"].float().view(-1, columns, 1)
        if episode_units:
            same_episode = 1 - obs["done"].float().view(-1, columns, 1)
            trial_units = self.hidden_size - episode_units
            keep = th.cat(
                [
                    keep.expand(-1, -1, trial_units),
                    (keep * same_episode).expand(-1, -1, episode_units),
                ],
                dim=2,
            )
        return keep

    @staticmethod
    def _run(
        core: RecurrentCore, features: th.Tensor, memory: th.Tensor, keep: th.Tensor
    ) -> tuple[th.Tensor, th.Tensor]:
        # Most blocks reset before their first step or nowhere, and then the loop need not.
        later = keep[1:]
        output: tuple[th.Tensor, th.Tensor] = core(
            features, memory * keep[0], keep if (later == 0).any() else None
        )
        return output

    def act(self, obs: TensorDict, deterministic: bool = False, value: bool = True) -> Acted:
        """Choose actions; ``obs`` holds one step of each column, and ``memory``.

        :param value: say what the steps are worth, and carry the value network's memory on
        """
        latent_pi, latent_vf, memory = self._unroll(obs, value=value)
        assert latent_pi is not None
        distribution = self._get_action_dist_from_latent(latent_pi)
        actions = distribution.get_actions(deterministic=deterministic)
        return Acted(
            actions.reshape((-1, *(self.action_space.shape or ()))),
            None if latent_vf is None else self.value_net(latent_vf),
            distribution.log_prob(actions),
            memory,
        )

    def forward(  # type: ignore[override]
        self, obs: TensorDict, deterministic: bool = False
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Actions, values and log-probabilities: :meth:`act` without the memory."""
        actions, values, log_probs, _ = self.act(obs, deterministic)
        assert values is not None
        return actions, values, log_probs

    def evaluate(self, obs: TensorDict) -> tuple[th.Tensor, Distribution]:
        """Values ``(rows, 1)`` and distributions of a block's actions.

        With ``prediction_coef`` the values' backward pass adds the gradient of that loss.
        """
        latent_pi, latent_vf, _ = self._unroll(obs)
        assert latent_pi is not None
        distribution = self._get_action_dist_from_latent(latent_pi)
        values = self.value_net(latent_vf)
        if self.prediction_coef and th.is_grad_enabled():
            loss = F.mse_loss(self.prediction_net(latent_pi), obs[PRIVILEGED])
            self.prediction_loss = loss.item()
            values = _WithLoss.apply(values, self.prediction_coef * loss)  # type: ignore[no-untyped-call]
        return values, distribution

    def evaluate_actions(  # type: ignore[override]
        self, obs: TensorDict, actions: th.Tensor
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor | None]:
        """Values, log-probabilities and entropies of a block's actions; axis 0 the row."""
        values, distribution = self.evaluate(obs)
        return values, distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: TensorDict) -> Distribution:  # type: ignore[override]
        """The distribution of each row's action."""
        latent_pi, _, _ = self._unroll(obs, value=False)
        assert latent_pi is not None
        return self._get_action_dist_from_latent(latent_pi)

    def predict_values(self, obs: TensorDict) -> th.Tensor:  # type: ignore[override]
        """The value of each row, ``(rows, 1)``."""
        return self.follow_values(obs)[0]

    def follow_values(self, obs: TensorDict) -> tuple[th.Tensor, th.Tensor]:
        """The value of each row, ``(rows, 1)``, and the memory, its value network's part new."""
        _, latent_vf, memory = self._unroll(obs, policy=False)
        return self.value_net(latent_vf), memory

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
        :param state: what the last call gave, ``None`` for new trials
        :return: actions, and the state ``(memory,)``, where the value network's part is idle
        :raises ValueError: not a trial's observation, or another number of them than of states
        """
        if not isinstance(observation, dict):
            raise ValueError(
                f"A trial's observation is a dict, got {type(observation).__name__}: wrap the "
                "environment in rl2_sb3.TrialWrapper, or let rl2_sb3.load_agent act in it."
            )
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
            latent_pi, _, memory = self._unroll(obs, value=False)
            assert latent_pi is not None
            distribution = self._get_action_dist_from_latent(latent_pi)
            chosen = distribution.get_actions(deterministic=deterministic)
        actions = chosen.reshape((-1, *(self.action_space.shape or ()))).cpu().numpy()
        if isinstance(self.action_space, spaces.Box):
            actions = np.clip(actions, self.action_space.low, self.action_space.high)
        return actions if vectorised else actions[0], (memory.cpu().numpy(),)


class CnnGRUPolicy(GRUPolicy):
    """:class:`GRUPolicy` for images: the paper's convolutions before the GRU."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        features_extractor_class: type[BaseFeaturesExtractor] = TrialCNN,
        **options: Any,
    ):
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            features_extractor_class=features_extractor_class,
            **options,
        )
