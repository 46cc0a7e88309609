"""A policy's networks over blocks of steps: features, memories with their resets, latents.

Every method takes the observations of a *block*, time-major: row ``t * columns + i`` is step ``t``
of column ``i``. ``obs["memory"]``, of shape ``(columns, memory_size)``, is the state before the
block's first step; its number of rows tells the number of columns. So a step of many environments
is a block of one step, SB3's own ``train`` methods get whole trials through the signatures that
they know, and the memory is reset where ``obs["start"]`` says, nowhere else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from rl2_sb3.config import PolicyConfig
from rl2_sb3.memories.products import dense_products, has_bf16
from rl2_sb3.policies.features import LAST, TrialCNN, TrialFeatures
from rl2_sb3.policies.networks import Core, Cores
from rl2_sb3.policies.normalisation import ObservationStatistics
from rl2_sb3.policies.options import make_core
from rl2_sb3.policies.states import StateLayout
from rl2_sb3.trials.spaces import OBSERVATION, PRIVILEGED

TensorDict = dict[str, th.Tensor]
WHOLE, GROUP = 64 * 2**20, 16 * 2**20
"""Bytes of memory up to which a step takes all columns at once, and those of a group else."""


class Latents(NamedTuple):
    """What the heads read, and the memory after the block."""

    policy: th.Tensor | None
    value: th.Tensor | None
    memory: th.Tensor


class Resets(NamedTuple):
    """Where a memory is reset."""

    first: th.Tensor
    """0 where it is before the block's first step, else 1: ``(columns, 1 or units)``."""
    block: th.Tensor | None
    """The same of every step; ``None`` where no later one is, and the loop need not look."""

    def begin(self, state: th.Tensor) -> th.Tensor:
        """The state that the block begins with; one that nothing resets is not copied."""
        # An exporter cannot branch on numbers, and a GPU would wait for them.
        looks = self.first.device.type == "cpu" and not th.compiler.is_compiling()
        if looks and bool((self.first == 1).all()):
            return state
        return state * self.first


class BlockNetworks(ActorCriticPolicy):
    """Features, a core for the policy, and one for the value or the same; see the module."""

    mlp_extractor: Cores  # type: ignore[assignment]
    config: PolicyConfig
    """The policy's options."""
    privileged: bool
    """Whether trials have a privileged observation."""
    layout: StateLayout
    """Where the parts of a memory stand."""
    statistics: ObservationStatistics | None
    """What observations are normalised by, if they are."""

    def _build_mlp_extractor(self) -> None:
        if self.privileged and not self.config.shared:
            told = {**self.features_extractor_kwargs, "privileged": True}
            self.vf_features_extractor = self.features_extractor_class(
                self.observation_space, **told
            )
        policy = self._make_core(self.pi_features_extractor)
        value = None
        if not self.config.shared:
            value = self._make_core(self.vf_features_extractor, value=True)
        self.mlp_extractor = Cores(policy, value)
        assert isinstance(self.observation_space, spaces.Dict)
        normalises = self.config.normalize_observations
        self.statistics = ObservationStatistics(self.observation_space) if normalises else None
        # No parameter has a part in our own features, and the two see the same but for what
        # privileged trials tell.
        extractors = self.pi_features_extractor, self.vf_features_extractor
        self.fixed_features = all(type(extractor) is TrialFeatures for extractor in extractors)
        self.same_features = self.fixed_features and not self.privileged
        self.layout = StateLayout(
            policy.memory.state_size,
            0 if value is None else value.memory.state_size,
            _kept(self.pi_features_extractor),
        )

    def _make_core(self, features: BaseFeaturesExtractor, value: bool = False) -> Core:
        parts = None
        if type(features) is TrialFeatures and isinstance(self.action_space, spaces.Discrete):
            parts = features.columns()
        inputs = features.features_dim
        return make_core(self.config, inputs, self.activation_fn, parts, value)

    @property
    def memory_size(self) -> int:
        """Numbers that the policy carries from step to step, of one column."""
        return self.layout.size

    def initial_memory(self, columns: int) -> th.Tensor:
        """The memory of new trials: zeros ``(columns, memory_size)``."""
        return th.zeros(columns, self.memory_size, device=self.device)

    def prepare(self, obs: TensorDict) -> TensorDict:
        """What of a block the parameters have no part in, to be computed once for many passes.

        Every method takes what this gives in the observations' place, or some of its columns.

        :param obs: a block's observations, and ``memory``
        :return: the same where features are not our own; else tensors of the same rows, with
            ``features`` among them, and ``value_features`` where those are others; for a value
            network whose memory has no parameters, that memory's outputs are ``value_features``
            and ``last_value_state`` is its state after the block, ``(columns, state_size)``
        """
        if not self.fixed_features:
            return obs
        features, value_features, _ = self._features(obs)
        prepared = {key: obs[key] for key in ("memory", "start", "done")}
        if self.config.prediction_coef:
            prepared[PRIVILEGED] = obs[PRIVILEGED]
        value = self.mlp_extractor.value
        if value is not None and value.fixed and not value.skip:
            resets = self._resets(obs, value)
            state = resets.begin(self.layout.split(obs["memory"]).value)
            value_features, last = value.remember(value_features, state, resets.block)
            prepared["last_value_state"] = last
            if self.config.precision == "bf16" and has_bf16(self.device):
                value_features = value_features.bfloat16()  # as the layers would, each time
        if value_features is not features:
            prepared["value_features"] = value_features
        return {**prepared, "features": features}

    def unroll(
        self,
        obs: TensorDict,
        policy: bool = True,
        value: bool = True,
        out: th.Tensor | None = None,
    ) -> Latents:
        """Run the networks asked for over a block.

        :param out: what the memory after the block is written to, without gradients
        """
        memory = self.layout.split(obs["memory"])
        last = memory.observation
        if "features" in obs:
            features = obs["features"]
            value_features = obs.get("value_features", features)
        else:
            features, value_features, last = self._features(obs, policy, value)
        shared, cores = self.config.shared, self.mlp_extractor
        resets = self._resets(obs, cores.policy)
        latent_pi = latent_vf = None
        pi_state, vf_state = memory.policy, memory.value
        if policy or shared:
            state = resets.begin(pi_state)
            latent_pi, pi_state = cores.policy(features, state, resets.block)
            latent_vf = latent_pi if shared else None
        if value and cores.value is not None:
            if "last_value_state" in obs:
                vf_state = obs["last_value_state"]
                latent_vf = cores.value.read(value_features, value_features).to(vf_state.dtype)
            else:
                if self.config.episode_units:  # which the two may not have alike
                    resets = self._resets(obs, cores.value)
                state = resets.begin(vf_state)
                latent_vf, vf_state = cores.value(value_features, state, resets.block)
        after = memory._replace(policy=pi_state, value=vf_state, observation=last)
        return Latents(latent_pi, latent_vf, after.join(out))

    @th.no_grad()
    def step(self, obs: TensorDict) -> Latents:
        """The policy's network on one step of each column, in groups where their memory is large.

        So what a step needs beside the memory stays small. There are no gradients.
        """
        memory = obs["memory"]
        size = len(memory)
        if memory.device.type == "cpu" and memory.nbytes > WHOLE:
            size = max(GROUP // memory[0].nbytes, 1)
        if size >= len(memory):
            return self.unroll(obs, value=False)
        after, latents = th.empty_like(memory), []
        for begin in range(0, len(memory), size):
            some = slice(begin, begin + size)
            group = {key: x[some] for key, x in obs.items()}
            found = self.unroll(group, value=False, out=after[some])
            assert found.policy is not None
            latents.append(found.policy)
        return Latents(th.cat(latents), None, after)

    def _features(
        self, obs: TensorDict, policy: bool = True, value: bool = True
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Features of the networks asked for, and the last observation, where it is kept."""
        rows = {key: x for key, x in obs.items() if key != "memory"}
        memory = obs["memory"]
        last = self.layout.split(memory).observation
        # Ours scales images itself, in pieces that fit the cache.
        extractor = self.pi_features_extractor
        images = {}
        if self.normalize_images and type(extractor) is TrialCNN:
            images = {key: rows.pop(key) for key in extractor.images}
        parts: Any = preprocess_obs(rows, self.observation_space, self.normalize_images)
        parts |= images
        if self.statistics is not None:
            parts = self.statistics(parts)
        if self.layout.observation:
            now = parts[OBSERVATION].flatten(1)
            # shape[0] and not len(), here and below: exporters keep it a variable.
            before = th.cat([last, now])[: now.shape[0]]
            parts[LAST] = before * (1 - obs["start"].float().view(-1, 1))
            last = now[now.shape[0] - last.shape[0] :]
        none = memory.new_empty(0)
        shared = self.config.shared
        pi = self._extract(self.pi_features_extractor, parts) if policy or shared else none
        alike = self.vf_features_extractor is self.pi_features_extractor or self.same_features
        if not value or shared or (alike and policy):
            return pi, pi, last
        return pi, self._extract(self.vf_features_extractor, parts), last

    def _extract(self, extractor: nn.Module, parts: Any) -> th.Tensor:
        with dense_products(self.device, self.config.precision):
            features: th.Tensor = extractor(parts)
        return features.float()

    def _resets(self, obs: TensorDict, core: Core) -> Resets:
        """Where a core's memory is reset: at trials' starts, some units at episodes' as well."""
        columns = obs["memory"].shape[0]
        keep = 1 - obs["start"].float().view(-1, columns, 1)
        if self.config.episode_units and core.memory.partial_resets:
            same_episode = 1 - obs["done"].float().view(-1, columns, 1)
            of_episodes = self.config.episode_units
            of_trials = core.memory.state_size - of_episodes
            keep = th.cat(
                [
                    keep.expand(-1, -1, of_trials),
                    (keep * same_episode).expand(-1, -1, of_episodes),
                ],
                dim=2,
            )
        later = len(keep) > 1 and bool((keep[1:] == 0).any())
        return Resets(keep[0], keep if later else None)


def _kept(extractor: BaseFeaturesExtractor) -> int:
    """The size of the last observation, where features need it: the policy keeps it."""
    if isinstance(extractor, TrialFeatures) and extractor.state_action:
        return extractor.sizes[OBSERVATION]
    return 0
