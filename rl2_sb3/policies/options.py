"""From options to networks: what of them goes together, and what each part is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, create_mlp
from torch import nn

from rl2_sb3.config import PolicyConfig
from rl2_sb3.memories import Memory
from rl2_sb3.memories.base import accepted
from rl2_sb3.policies.networks import Core
from rl2_sb3.policies.normalisation import continuous, unbounded
from rl2_sb3.registry import MEMORIES, did_you_mean
from rl2_sb3.trials.spaces import PRIVILEGED

OF_THE_MEMORY = ("candidate", "memory_steps")
"""Options of the policy that are some memories' own."""
PRODUCTS = ("action_reward", "state_action")
"""Options of the policy that are its features'."""
INSTEAD = {
    "net_arch": "layers_before and layers_after are the dense layers around the memory, "
    "hidden_size its units",
    "lstm_hidden_size": "hidden_size, with memory='lstm'",
    "n_lstm_layers": "one memory, memory='lstm', and dense layers_before and layers_after",
    "shared_lstm": "shared=True makes one network of policy and value",
    "enable_critic_lstm": "value_network names the value's memory",
    "lstm_kwargs": "memory_kwargs, with memory='lstm'",
    "share_features_extractor": "shared=True makes one network of policy and value",
    "ortho_init": "initial weights are those of the paper; weight_norm=True normalises them",
    "full_std": "there is no state-dependent exploration; log_std_init is its deviation at first",
    "use_expln": "there is no state-dependent exploration; log_std_init is its deviation at first",
    "squash_output": "continuous actions are clipped to their space",
}
"""Of the options of SB3's and sb3-contrib's policies, those that are called otherwise here."""
VALUE_LAYERS = (128, 128)
"""Widths of the layers after a value network's memory that has no parameters."""


def read_options(options: dict[str, Any], observation_space: spaces.Dict) -> PolicyConfig:
    """The policy's options, complete.

    :raises ValueError: unknown options, or such as make no network
    """
    names = [field.name for field in fields(PolicyConfig)]
    for name in options:
        if name in INSTEAD:
            raise ValueError(f"No policy option {name!r}: {INSTEAD[name]}.")
        if name not in names:
            raise ValueError(f"No policy option {name!r}.{did_you_mean(name, names)}")
    config = PolicyConfig(**options)
    config = replace(
        config,
        layers_before=tuple(config.layers_before),
        layers_after=tuple(config.layers_after),
        memory_kwargs=dict(config.memory_kwargs),
        normalize_observations=_normalises(config.normalize_observations, observation_space),
    )
    if config.precision not in ("fp32", "bf16"):
        raise ValueError(f"precision={config.precision!r}: use 'fp32' or 'bf16'.")
    if config.shared and config.value_network not in (None, config.memory):
        raise ValueError(
            f"value_network={config.value_network!r}, shared=True: a shared network has one "
            "memory. Leave one of them out."
        )
    if config.prediction_coef < 0 or (
        config.prediction_coef and PRIVILEGED not in observation_space.spaces
    ):
        raise ValueError(
            f"prediction_coef={config.prediction_coef}: 0 or more; above 0 the memory predicts "
            "the privileged observation, so it needs --privileged, make_trials(..., "
            "privileged=True)."
        )
    check_memories(config)
    return config


def _normalises(wanted: bool | None, observation_space: spaces.Dict) -> bool:
    """Whether observations are normalised, which by default depends on their bounds."""
    if wanted is None:
        return bool(unbounded(observation_space))
    if wanted and not continuous(observation_space):
        raise ValueError(
            "normalize_observations=True is for Boxes other than images, and the observation has "
            "none: leave it out."
        )
    return wanted


def check_memories(config: PolicyConfig) -> None:
    """See that the memories exist and take the options.

    :raises ValueError: they do not
    """
    kinds = [MEMORIES.load(config.memory), MEMORIES.load(value_memory(config))]
    units = config.hidden_size
    if not 0 <= config.episode_units <= units or units < 1:
        raise ValueError(
            f"hidden_size={units}, episode_units={config.episode_units}: a memory has at least one "
            "unit, and from none to all of them can be episode_units."
        )
    if config.episode_units and not kinds[0].partial_resets:
        raise ValueError(
            f"episode_units={config.episode_units}: the memory {config.memory!r} is reset as a "
            "whole. Use memory='gru', or leave it out."
        )
    if kinds[0].own_layers:
        raise ValueError(
            f"memory={config.memory!r} cannot tell actions apart: it is for the value network. "
            "Name it as value_network, and another memory."
        )
    if kinds[0].of_actions and (config.layers_after or config.skip):
        raise ValueError(
            f"layers_after={config.layers_after}, skip={config.skip}: the memory {config.memory!r} "
            "has an output for each action, from which its logit is made. Leave them out."
        )
    for name in OF_THE_MEMORY:
        value = getattr(config, name)
        if value != getattr(PolicyConfig, name) and not any(
            accepted(kind, {name: value}) for kind in kinds
        ):
            raise ValueError(
                f"{name}={value!r}: the memory {config.memory!r} has no such option. Leave it out; "
                "memory_kwargs are the options of the memory's own."
            )


def value_memory(config: PolicyConfig) -> str:
    """The name of the value network's memory."""
    return config.value_network or config.memory


def products(options: dict[str, Any]) -> dict[str, Any]:
    """Those options that are products as features."""
    return {name: options[name] for name in PRODUCTS if name in options}


def feature_options(
    config: PolicyConfig,
    extractor: type[BaseFeaturesExtractor],
    told: dict[str, Any],
    privileged: bool,
) -> dict[str, Any]:
    """Keyword arguments of the features extractor: those told, and the products that it can make.

    :raises ValueError: ``state_action``, or privileged trials, for one that cannot
    """
    taken = accepted(extractor, products(asdict(config)))
    if privileged and not accepted(extractor, {"privileged": True}):
        raise ValueError(
            f"Privileged trials with {extractor.__name__}: it would let the policy see what only "
            "the value network may. Let it take privileged=False, and leave that part out unless "
            "it is True, or make the trials without privileged."
        )
    if config.state_action and "state_action" not in taken:
        raise ValueError(
            f"state_action=True is for small MDPs: {extractor.__name__} has no such products."
        )
    return {**told, **taken}


def make_core(
    config: PolicyConfig,
    inputs: int,
    activation: type[nn.Module],
    parts: Mapping[str, slice] | None,
    value: bool = False,
) -> Core:
    """A network over features.

    As the value network alone, a memory without parameters takes the features themselves, and has
    layers of its own after it; one with layers of its own has none around it.

    :param inputs: number of features
    :param parts: where each part of a step stands among them, if that is known
    :param value: of the value network
    """
    name = value_memory(config) if value else config.memory
    kind = MEMORIES.load(name)
    layers: tuple[tuple[int, ...], tuple[int, ...], bool]
    layers = config.layers_before, config.layers_after, config.skip
    if value and kind.fixed:
        layers = (), VALUE_LAYERS, False
    if value and kind.own_layers:
        layers = (), (), False
    widths, layers_after, skip = layers
    before = nn.Sequential(*create_mlp(inputs, -1, list(widths), activation))
    seen = widths[-1] if widths else inputs
    memory = make_memory(config, name, seen, None if widths else parts)
    return Core(before, memory, inputs, layers_after, activation, config.precision, skip)


def make_memory(
    config: PolicyConfig, name: str, inputs: int, parts: Mapping[str, slice] | None
) -> Memory:
    """A memory by its name, with its options: ``memory_kwargs`` are those of the policy's kind.

    :raises ValueError: options that it has not, or parts that it needs and that are not known
    """
    kind = MEMORIES.load(name)
    some = {key: getattr(config, key) for key in (*OF_THE_MEMORY, "precision")}
    if accepted(kind, {"parts": parts}):
        if parts is None:
            raise ValueError(
                f"The memory {name!r} is told where the parts of a step stand: it needs discrete "
                "actions, GRUPolicy's features, and no layers_before. Take another (memory, or "
                "value_network)."
            )
        some["parts"] = parts
    own = config.memory_kwargs if name == config.memory else {}
    try:
        memory: Memory = kind(inputs, config.hidden_size, **{**accepted(kind, some), **own})
    except TypeError as error:
        raise ValueError(f"memory_kwargs={own}: {error}.") from error
    return memory
