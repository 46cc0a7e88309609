"""The file of an agent: the policy's tensors and a JSON description, in safetensors' format.

Loading a stranger's executes nothing but what is installed here: of a memory that a plugin brings,
the file has the name; so it has of policies, features extractors and activations of one's own,
whose modules are imported.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch as th
from gymnasium import spaces
from safetensors import safe_open
from safetensors.torch import save
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from rl2_sb3.agent_checks import (
    check_format,
    check_info,
    check_network,
    check_spaces,
    check_tensors,
    read_description,
    read_space,
    space_to_json,
)
from rl2_sb3.config import PolicyConfig
from rl2_sb3.files import replace_whole
from rl2_sb3.policies import CnnGRUPolicy, GRUPolicy
from rl2_sb3.policies.earlier import ABSENT, DEFAULTS, present_names
from rl2_sb3.policies.features import TrialCNN, TrialFeatures
from rl2_sb3.policies.named import check_policy, from_name, name_of
from rl2_sb3.policies.options import products
from rl2_sb3.registry import AGENTS, BASELINES, HOW_TO_INSTALL, did_you_mean
from rl2_sb3.trials.spaces import PRIVILEGED

FORMAT = 2
POLICIES: dict[str, type[GRUPolicy]] = {"GRUPolicy": GRUPolicy, "CnnGRUPolicy": CnnGRUPolicy}
OWN_MEMORIES = frozenset(
    ("action-gru", "fast-weights", "gru", "linear", "lstm", "sums", "transition-graph", "window")
)
"""Memories that are known to be made without memory of the computer's, as shapes alone."""
VALUE_PARTS = (
    *("value_net.", "value_s", "vf_features_extractor.", "mlp_extractor.value."),
    "prediction_net.",
)
ACTING_ALONE = {"shared": True, "value_network": None, "prediction_coef": 0.0}
"""Options of a policy that has no network for the value."""
Description = dict[str, Any]


def save_agent(policy: GRUPolicy, path: str | os.PathLike[str], **info: Any) -> None:
    """Write the acting part of a policy into a file that :func:`load_agent` reads.

    :param info: description of the training, anything that JSON can hold; where trials have a
        privileged observation, ``privileged=True`` is added
    :raises ValueError: a policy, a features extractor or an activation whose class cannot be
        imported by name, or a policy class with options of its own: no file can describe them;
        weights that are not finite
    """
    kind = type(policy)
    ours = [name for name, each in POLICIES.items() if kind is each]
    if not ours:
        check_policy(kind, GRUPolicy)
    activation = name_of(policy.activation_fn)
    features = policy.features_extractor_class
    named = {} if features is _own_features(kind) else {"features_extractor": name_of(features)}
    assert isinstance(policy.observation_space, spaces.Dict)
    if PRIVILEGED in policy.observation_space.spaces:
        info = {**info, "privileged": True}
    description = {
        "format": FORMAT,
        "policy": ours[0] if ours else name_of(kind),
        "network": {
            **asdict(policy.config),
            "features_extractor_kwargs": policy.features_extractor_kwargs,
            "normalize_images": policy.normalize_images,
        },
        "activation": activation,
        **named,
        "observation_space": space_to_json(_without_privileged(policy.observation_space)),
        "action_space": space_to_json(policy.action_space),
        "info": info,
    }
    tensors = {
        key: value.contiguous().cpu()
        for key, value in policy.state_dict().items()
        if is_acting(key)
    }
    check_finite(tensors)
    content = save(tensors, metadata={"rl2_sb3": json.dumps(description)})
    replace_whole(Path(path), lambda file: file.write(content))


def check_finite(tensors: Mapping[str, th.Tensor]) -> None:
    """Refuse a network that has diverged: what is good is not to be replaced by it.

    :raises ValueError: a tensor with a NaN or an infinity
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(
                f"{name} is not finite: learning has diverged, or rewards or observations were not "
                "finite. Nothing is saved; a smaller learning_rate or max_grad_norm helps."
            )


def agent_file(name: str | os.PathLike[str]) -> Path:
    """The file of an agent: given itself, a run's folder, or an installed agent's name.

    :raises ValueError: there is none
    """
    path = Path(name)
    if os.path.isdir(path):  # unlike Path's, it takes any text
        path = path / "agent.safetensors"
    if os.path.isfile(path):
        return path
    if path.name == "agent.safetensors" and os.path.exists(path.with_name("config.json")):
        raise ValueError(f"{path.parent} holds a run that has no agent yet: use --resume.")
    if path.suffix or len(path.parts) > 1:
        raise ValueError(f"There is no run or agent's file {str(name)!r}.")
    try:
        return Path(AGENTS.load(str(name)))
    except ValueError as error:
        if str(name) in BASELINES:
            what = f"{str(name)!r} is a baseline, not a trained agent"
            raise ValueError(f"{what}: `rl2 evaluate` and make_baseline take it.") from error
        more = "" if AGENTS.names() else f" In a checkout, `{HOW_TO_INSTALL}` adds some."
        raise ValueError(f"{error}{more}") from error


def describe_agent(name: str | os.PathLike[str]) -> dict[str, Any]:
    """What an agent's file says of its network, its spaces and, under "info", its training.

    :raises ValueError: no such name, or not an agent's file
    """
    path = agent_file(name)
    description: Description = read_description(path)
    with _damaged(path):
        check_format(description, FORMAT)
        while description["format"] < FORMAT:
            description = MIGRATIONS[description["format"]](description)
        network = description["network"]
        description = {**description, "network": {**ABSENT, **network}}
        _check_description(description)
    return description


def _check_description(description: Description) -> None:
    """Refuse what no network can be made from, before any is made."""
    kind = policy_class(description["policy"])
    own = None if "features_extractor" in description else _own_features(kind)
    check_network(description["network"], own)
    check_info(description["info"])


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Says which file it is that is refused."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{path} is no agent of this version, or damaged: {error}") from error


def agent_tensors(path: Path, device: th.device | str = "cpu") -> dict[str, th.Tensor]:
    """The acting part of a policy's state, as an agent's file has it.

    :raises ValueError: numbers that are not finite
    """
    with safe_open(path, "pt", device=str(device)) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for key, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{path} is damaged: {key} holds numbers that are not finite.")
    return present_names(tensors)


def read_agent(name: str | os.PathLike[str]) -> tuple[GRUPolicy, dict[str, Any]]:
    """The policy of an agent's file, without a value network, and what is known of its training.

    :param name: a path, or the name of an installed agent
    :raises ValueError: no such name, or not an agent's file
    """
    path = agent_file(name)
    description = describe_agent(path)
    with _damaged(path):
        make = _network(description)
        if _is_ours(description):
            # Shapes alone, without memory; a fused optimizer would not be made so.
            with th.device("meta"):
                expected = make(optimizer_class=th.optim.SGD).state_dict()
        else:
            expected = make().state_dict()
        check_tensors(path, {key: part for key, part in expected.items() if is_acting(key)})
        policy = make()
    policy.load_state_dict(agent_tensors(path), strict=False)
    return policy, description["info"]


def _is_ours(description: Description) -> bool:
    """Whether a network has no part of others, which may need numbers to be made."""
    memory = description["network"].get("memory", PolicyConfig.memory)
    named = any(":" in description[part] for part in ("activation", "policy"))
    return memory in OWN_MEMORIES and not named and "features_extractor" not in description


def _network(description: Description) -> Callable[..., GRUPolicy]:
    """What makes the network that a file describes.

    :raises ValueError: spaces or options that make none
    """
    observations = read_space(description["observation_space"])
    actions = read_space(description["action_space"])
    check_spaces(observations, actions)
    activation = _activation(description["activation"])
    options = {**_features(description), **description["network"], **ACTING_ALONE}

    def make(**more: Any) -> GRUPolicy:
        kind = policy_class(description["policy"])
        try:
            return kind(
                observations, actions, lambda _: 0.0, activation_fn=activation, **options, **more
            )
        except (TypeError, KeyError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"its options make no network: {error}") from error

    return make


def _from_format_1(description: Description) -> Description:
    """Before there were memories to choose from; products were options of the features."""
    network = description["network"]
    network = {**DEFAULTS, **network, **products(network["features_extractor_kwargs"])}
    return {**description, "format": 2, "network": network}


MIGRATIONS: dict[int, Callable[[Description], Description]] = {1: _from_format_1}
"""From a description in one format to one in the next. Of the tensors the names alone have changed,
see :func:`present_names`."""


def _without_privileged(space: spaces.Space[Any]) -> spaces.Dict:
    assert isinstance(space, spaces.Dict)
    return spaces.Dict({key: part for key, part in space.items() if key != PRIVILEGED})


def is_acting(key: str) -> bool:
    """Whether a tensor of a policy's state belongs to what chooses actions."""
    # SB3 keeps the policy's features under two names; one is enough.
    return not key.startswith((*VALUE_PARTS, "pi_features_extractor."))


def policy_class(name: str) -> type[GRUPolicy]:
    """The class of a policy, ours by its own name alone.

    :raises ValueError: there is none
    """
    if ":" in name:
        return from_name(name, GRUPolicy)
    if name not in POLICIES:
        raise ValueError(f"No policy {name!r}.{did_you_mean(name, list(POLICIES))}")
    return POLICIES[name]


def _own_features(kind: type[GRUPolicy]) -> type[BaseFeaturesExtractor]:
    """The features extractor that a policy has unless it is told another."""
    return TrialCNN if issubclass(kind, CnnGRUPolicy) else TrialFeatures


def _features(description: Description) -> dict[str, Any]:
    """The features extractor, where it is not the policy's own."""
    name = description.get("features_extractor")
    if name is None:
        return {}
    return {"features_extractor_class": from_name(name, BaseFeaturesExtractor)}


def _activation(name: str) -> type[nn.Module]:
    if ":" in name:
        return from_name(name, nn.Module)
    kind = getattr(nn, name, None)
    if not (isinstance(kind, type) and kind.__module__ == "torch.nn.modules.activation"):
        raise ValueError(f"{name!r} is no activation of torch.nn.")
    if any(p.default is p.empty for p in inspect.signature(kind).parameters.values()):
        raise ValueError(f"the activation {name!r} takes options, which the file cannot hold.")
    return kind
