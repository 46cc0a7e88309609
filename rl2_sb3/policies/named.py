"""Classes of others by name, as agents' files hold them: ``module:Class``."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, TypeVar

from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

Kind = TypeVar("Kind")
WITH_NAME = inspect.Parameter.POSITIONAL_OR_KEYWORD


def name_of(kind: type[Any]) -> str:
    """The name under which :func:`from_name` finds a class.

    An activation of ``torch.nn`` is called by its own name alone.

    :raises ValueError: a class that cannot be imported, such as one of a script or a function
    """
    if getattr(nn, kind.__name__, None) is kind:
        return str(kind.__name__)
    name = f"{kind.__module__}:{kind.__qualname__}"
    try:
        if kind.__module__ != "__main__" and _import(name) is kind:
            return name
    except (ImportError, AttributeError):
        pass
    raise ValueError(
        f"{kind.__qualname__} of {kind.__module__} cannot be imported by name, so that no agent's "
        "file could tell of it: define it at the top of a module, such as my_networks.py, and "
        "import it from there."
    )


def from_name(name: str, base: type[Kind]) -> type[Kind]:
    """The class of a name that :func:`name_of` gave. Its module, installed here, is imported.

    :raises ValueError: no such class here, or one that is no ``base``
    """
    if name.partition(":")[0].partition(".")[0] in sys.stdlib_module_names:
        raise ValueError(f"{name!r} is of Python's own library, and no {base.__name__}.")
    try:
        kind = _import(name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(f"There is no {name!r} here: install what has it. {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise ValueError(f"{name!r} is no {base.__name__}.")
    return kind


def _import(name: str) -> Any:
    module, _, path = name.partition(":")
    return attrgetter(path)(importlib.import_module(module))


def check_policy(kind: type[Any], base: type[Any]) -> None:
    """Refuse, before any training, a policy class that no agent's file could tell of.

    :param kind: a subclass of ``base``
    :param base: whose options files hold
    :raises ValueError: one that cannot be imported, or with options of its own
    """
    name_of(kind)
    known = inspect.signature(base).parameters.keys()
    own = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if name not in known and parameter.kind in (parameter.KEYWORD_ONLY, WITH_NAME)
    ]
    if own:
        raise ValueError(
            f"{kind.__name__} has options of its own, {', '.join(own)}, which no agent's file "
            "holds: make them attributes of the class, and a subclass for each value."
        )


def check_describable(policy_kwargs: Mapping[str, Any]) -> None:
    """Refuse, before any training, a network that no agent's file could tell of.

    :raises ValueError: classes that cannot be imported, or arguments that JSON does not hold
    """
    for name, base in (
        ("features_extractor_class", BaseFeaturesExtractor),
        ("activation_fn", nn.Module),
    ):
        kind = policy_kwargs.get(name)
        if kind is None:
            continue
        if not (isinstance(kind, type) and issubclass(kind, base)):
            raise ValueError(f"{name}={kind!r}: a subclass of {base.__name__}.")
        name_of(kind)
    told = policy_kwargs.get("features_extractor_kwargs")
    try:
        json.dumps(told)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"features_extractor_kwargs={told!r}: numbers, texts, lists and dicts alone, since an "
            f"agent's file holds them as JSON. {error}"
        ) from error
