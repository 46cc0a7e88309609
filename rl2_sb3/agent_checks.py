"""What an agent's file must be, before anything is built from it: types and sizes."""

from __future__ import annotations

import inspect
import json
import math
import typing
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from rl2_sb3.config import PolicyConfig
from rl2_sb3.policies.earlier import present_names
from rl2_sb3.registry import did_you_mean
from rl2_sb3.trials.spaces import is_trial_space, trial_space

LARGEST = 2**24
"""Numbers in one observation or action: four times an image of 1920 x 1080 in colours."""
WIDEST = 2**16
"""Units of a layer."""
DIMENSIONS = 32
"""Of an array."""
DEEPEST = 100
"""Layers before or after the memory."""
DTYPES = (
    "float16",
    "float32",
    "float64",
    "bool",
    *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)),
)
PARTS: dict[str, type] = {
    "policy": str,
    "network": dict,
    "activation": str,
    "observation_space": dict,
    "action_space": dict,
    "info": dict,
}
NUMBERS = ("steps", "seconds", "episodes")
"""Entries of "info" that are reckoned with."""
TYPES = {
    th.float32: "F32",
    th.float64: "F64",
    th.float16: "F16",
    th.bfloat16: "BF16",
    th.int64: "I64",
    th.int32: "I32",
    th.uint8: "U8",
    th.bool: "BOOL",
}
"""As safetensors calls them."""


def read_description(path: Path) -> Any:
    """The description in an agent's file, of which nothing is checked yet.

    :raises ValueError: not an agent's file
    """
    try:
        with safe_open(path, "pt") as file:
            return json.loads((file.metadata() or {})["rl2_sb3"])
    except OSError as error:
        reason = error.strerror or "it is not there"
        raise ValueError(f"{path} cannot be read: {reason}.") from error
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        if zipfile.is_zipfile(path):
            raise ValueError(
                f"{path} is the archive of a model, not an agent's file: use RL2PPO.load (or "
                "RL2TRPO.load), whose save_agent writes one."
            ) from error
        raise ValueError(f"{path} is not an agent's file, or a damaged one: {error}") from error


def check_format(description: Any, latest: int) -> None:
    """Refuse a description of no format, or of a later one than this version knows."""
    number = description.get("format") if isinstance(description, dict) else None
    if type(number) is not int or number < 1:
        raise ValueError(f"its format is {number!r}, no whole number from 1 on.")
    if number > latest:
        raise ValueError(
            f"it has format {number}, this version of rl2-sb3 reads up to {latest}: update it."
        )
    for name, kind in PARTS.items():
        if not isinstance(description.get(name), kind):
            raise ValueError(f"its {name!r} is {description.get(name)!r}, no {kind.__name__}.")


def check_info(info: Mapping[str, Any]) -> None:
    """Refuse numbers of the training that are none, and a history that is none."""
    for name in NUMBERS:
        value = info.get(name)
        if value is not None and not _is_count(value):
            raise ValueError(f"its info has {name}={value!r}, no number from 0 on.")
    if not isinstance(info.get("options", {}), dict):
        raise ValueError(f"its info has options={info['options']!r}, no names and values.")
    history = info.get("history", [])
    if not isinstance(history, list) or not all(
        isinstance(run, dict) and all(_is_count(run.get(name)) for name in ("steps", "seconds"))
        for run in history
    ):
        raise ValueError(f"its info has history={history!r}: runs have steps and seconds.")


def _is_count(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def check_network(network: Mapping[str, Any], extractor: type[Any] | None) -> None:
    """Refuse options of the network of a wrong type, and widths that nobody has.

    :param extractor: of features, whose options are among them; ``None`` for one that is not known
    """
    options = {**network}
    features = options.pop("features_extractor_kwargs", None)
    images = options.pop("normalize_images", None)
    if not isinstance(features, dict) or not isinstance(images, bool):
        raise ValueError(
            f"its features have features_extractor_kwargs={features!r}, "
            f"normalize_images={images!r}: options, and true or false."
        )
    _check_types(options, typing.get_type_hints(PolicyConfig))
    if extractor is not None:
        hints = typing.get_type_hints(extractor.__init__)
        own = {name: hints[name] for name in list(inspect.signature(extractor).parameters)[1:]}
        _check_types(features, own)
    for name in ("hidden_size", "features_dim"):
        width = {**options, **features}.get(name, 1)
        if not 1 <= width <= WIDEST:
            raise ValueError(f"its {name} is {width}: from 1 to {WIDEST}.")
    for name in ("layers_before", "layers_after"):
        widths = options.get(name, ())
        if len(widths) > DEEPEST or not all(1 <= width <= WIDEST for width in widths):
            raise ValueError(f"its {name} are {widths}: up to {DEEPEST} from 1 to {WIDEST}.")


def _check_types(options: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name not in hints:
            raise ValueError(f"it has an option {name!r}.{did_you_mean(name, list(hints))}")
        if not _fits(value, hints[name]):
            raise ValueError(f"its option {name}={value!r} is of a wrong type.")


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value that JSON holds is of a type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, (list, tuple)) and all(_fits(each, arguments[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict)
    if arguments:
        return any(_fits(value, each) for each in arguments)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def read_space(description: Any) -> spaces.Space[Any]:
    """A space from JSON.

    :raises ValueError: none, or one that is too large
    """
    if not isinstance(description, dict) or len(description) != 1:
        raise ValueError(f"a space is one kind and its content, not {description!r}.")
    ((kind, content),) = description.items()
    if kind == "Dict" and isinstance(content, dict) and content:
        return spaces.Dict({key: read_space(part) for key, part in content.items()})
    if kind == "Box" and isinstance(content, list) and len(content) == 4:
        return _read_box(*content)
    if kind == "Discrete" and _is_size(content):
        return spaces.Discrete(content)
    if kind == "MultiDiscrete" and _are_sizes(content) and sum(content) <= LARGEST:
        return spaces.MultiDiscrete(content)
    if kind == "MultiBinary" and (_is_size(content) or _is_shape(content)):
        return spaces.MultiBinary(content)
    raise ValueError(f"no space is {kind!r} of {_shortly(content)}.")


def _read_box(low: Any, high: Any, shape: Any, name: Any) -> spaces.Box:
    if name not in DTYPES or not (shape == [] or _is_shape(shape)):
        raise ValueError(f"no Box has the shape {_shortly(shape)} and the type {name!r}.")
    dtype = np.dtype(name)
    try:
        bounds = [np.broadcast_to(np.asarray(each).astype(dtype), shape) for each in (low, high)]
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"a Box has the bounds {_shortly(low)}, {_shortly(high)}.") from error
    if not (bounds[0] <= bounds[1]).all():
        raise ValueError(f"a Box is from {_shortly(low)} to {_shortly(high)}.")
    return spaces.Box(bounds[0], bounds[1], tuple(shape), dtype.type)


def _is_size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= LARGEST and all(map(_is_size, value))


def _is_shape(value: Any) -> bool:
    return _are_sizes(value) and len(value) <= DIMENSIONS and math.prod(value) <= LARGEST


def _shortly(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def check_spaces(observations: spaces.Space[Any], actions: spaces.Space[Any]) -> None:
    """Refuse an observation that is not of trials with these actions."""
    if not is_trial_space(observations):
        raise ValueError("its observation space is not that of trials.")
    assert isinstance(observations, spaces.Dict)
    expected = trial_space(spaces.Discrete(1), actions)
    for key in ("action", "reward", "done", "start"):
        if observations[key] != expected[key]:
            raise ValueError(f"its observation's {key!r} is {observations[key]}.")


def check_tensors(path: Path, expected: Mapping[str, th.Tensor]) -> None:
    """Refuse tensors of other names, shapes or types than a network has.

    :param expected: the network's, which need not have memory
    """
    with safe_open(path, "pt") as file:
        slices = present_names({key: file.get_slice(key) for key in file.keys()})  # noqa: SIM118
        other = sorted(slices.keys() ^ expected.keys())
        if other:
            raise ValueError(f"it does not hold the network that it describes: {other[0]}.")
        for name, tensor in expected.items():
            shape, theirs = list(tensor.shape), slices[name].get_shape()
            if shape != theirs:
                raise ValueError(f"{name} has the shape {theirs}, the network {shape}.")
            kind = TYPES[tensor.dtype]
            if slices[name].get_dtype() != kind:
                raise ValueError(f"{name} is of {slices[name].get_dtype()}, the network of {kind}.")


def space_to_json(space: spaces.Space[Any]) -> dict[str, Any]:
    """A space as an agent's file has it.

    :raises ValueError: one that it cannot hold
    """
    if isinstance(space, spaces.Dict):
        return {"Dict": {key: space_to_json(part) for key, part in space.items()}}
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
