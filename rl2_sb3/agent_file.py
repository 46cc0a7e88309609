"""The file of an agent: the policy's tensors and a JSON description, in safetensors' format.

Loading a stranger's executes nothing but what is installed here: of a memory that a plugin brings,
the file has the name; so it has of features extractors and activations of one's own, whose modules
are imported.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from rl2_sb3.files import replace_whole
from rl2_sb3.policies import CnnGRUPolicy, GRUPolicy
from rl2_sb3.policies.earlier import ABSENT, DEFAULTS, present_names
from rl2_sb3.policies.features import TrialCNN, TrialFeatures
from rl2_sb3.policies.named import from_name, name_of
from rl2_sb3.policies.options import products
from rl2_sb3.registry import AGENTS, HOW_TO_INSTALL
from rl2_sb3.trials.spaces import PRIVILEGED

FORMAT = 2
POLICIES: dict[str, type[GRUPolicy]] = {"GRUPolicy": GRUPolicy, "CnnGRUPolicy": CnnGRUPolicy}
FEATURES = {"GRUPolicy": TrialFeatures, "CnnGRUPolicy": TrialCNN}
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
    :raises ValueError: a policy class that is not this package's, or a features extractor or an
        activation that cannot be imported by name: no file can describe them; weights that are not
        finite
    """
    names = [name for name, kind in POLICIES.items() if type(policy) is kind]
    if not names:
        raise ValueError(
            "An agent's file describes GRUPolicy and CnnGRUPolicy, not "
            f"{type(policy).__name__}. Use model.save()."
        )
    activation = name_of(policy.activation_fn)
    features = policy.features_extractor_class
    named = {} if features is FEATURES[names[0]] else {"features_extractor": name_of(features)}
    assert isinstance(policy.observation_space, spaces.Dict)
    if PRIVILEGED in policy.observation_space.spaces:
        info = {**info, "privileged": True}
    description = {
        "format": FORMAT,
        "policy": names[0],
        "network": {
            **asdict(policy.config),
            "features_extractor_kwargs": policy.features_extractor_kwargs,
            "normalize_images": policy.normalize_images,
        },
        "activation": activation,
        **named,
        "observation_space": _space_to_json(_without_privileged(policy.observation_space)),
        "action_space": _space_to_json(policy.action_space),
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
    if path.is_dir():
        path = path / "agent.safetensors"
    if path.is_file():
        return path
    if path.name == "agent.safetensors" and path.with_name("config.json").exists():
        raise ValueError(
            f"{path.parent} holds a run that has no agent yet: finish it, with --resume."
        )
    if path.suffix or len(path.parts) > 1:
        raise ValueError(f"There is no run or agent's file {str(name)!r}.")
    try:
        return Path(AGENTS.load(str(name)))
    except ValueError as error:
        raise ValueError(f"{error} In a checkout, `{HOW_TO_INSTALL}` adds some.") from error


def describe_agent(name: str | os.PathLike[str]) -> dict[str, Any]:
    """What an agent's file says of its network, its spaces and, under "info", its training.

    :raises ValueError: no such name, or not an agent's file
    """
    path = agent_file(name)
    try:
        with safe_open(path, "pt") as file:
            description: dict[str, Any] = json.loads((file.metadata() or {})["rl2_sb3"])
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not an agent's file, or a damaged one: {error}") from error
    if description["format"] > FORMAT:
        raise ValueError(
            f"{path} has format {description['format']}, this version of rl2-sb3 reads up to "
            f"{FORMAT}: update it."
        )
    while description["format"] < FORMAT:
        description = MIGRATIONS[description["format"]](description)
    description["network"] = {**ABSENT, **description["network"]}
    return description


def agent_tensors(path: Path, device: th.device | str = "cpu") -> dict[str, th.Tensor]:
    """The acting part of a policy's state, as an agent's file has it."""
    with safe_open(path, "pt", device=str(device)) as file:
        return present_names({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118


def read_agent(name: str | os.PathLike[str]) -> tuple[GRUPolicy, dict[str, Any]]:
    """The policy of an agent's file, without a value network, and what is known of its training.

    :param name: a path, or the name of an installed agent
    :raises ValueError: no such name, or not an agent's file
    """
    path = agent_file(name)
    description = describe_agent(path)
    tensors = agent_tensors(path)
    policy = POLICIES[description["policy"]](
        _space_from_json(description["observation_space"]),
        _space_from_json(description["action_space"]),
        lambda _: 0.0,
        activation_fn=_activation(description["activation"]),
        **_features(description),
        **{**description["network"], **ACTING_ALONE},
    )
    if set(tensors) != {key for key in policy.state_dict() if is_acting(key)}:
        raise ValueError(f"{path} does not hold the network that it describes.")
    policy.load_state_dict(tensors, strict=False)
    return policy, description["info"]


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
    return kind


def _space_to_json(space: spaces.Space[Any]) -> dict[str, Any]:
    if isinstance(space, spaces.Dict):
        return {"Dict": {key: _space_to_json(part) for key, part in space.items()}}
    if isinstance(space, spaces.Box):
        low, high = (_constant(bound) for bound in (space.low, space.high))
        return {"Box": [low, high, list(space.shape), str(space.dtype)]}
    if isinstance(space, spaces.Discrete):
        return {"Discrete": int(space.n)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"MultiDiscrete": space.nvec.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"MultiBinary": int(space.n) if isinstance(space.n, int) else list(space.n)}
    raise ValueError(f"{space} cannot be stored.")


def _constant(bound: NDArray[Any]) -> Any:
    """One number where all are equal, which keeps the description of an image short."""
    return bound.flat[0].item() if bound.size and (bound == bound.flat[0]).all() else bound.tolist()


def _space_from_json(description: dict[str, Any]) -> spaces.Space[Any]:
    ((kind, content),) = description.items()
    if kind == "Dict":
        return spaces.Dict({key: _space_from_json(part) for key, part in content.items()})
    if kind == "Box":
        low, high, shape, name = content
        dtype = np.dtype(name)
        low, high = (np.broadcast_to(np.asarray(bound, dtype), shape) for bound in (low, high))
        return spaces.Box(low, high, tuple(shape), dtype.type)
    if kind in ("Discrete", "MultiDiscrete", "MultiBinary"):
        space: spaces.Space[Any] = getattr(spaces, kind)(content)
        return space
    raise ValueError(f"Unknown space {kind!r}.")
