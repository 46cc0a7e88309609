"""Options side by side, as files and the command line have them; configurations nest them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from rl2_sb3.registry import did_you_mean

Config = TypeVar("Config")


def nested(kind: type[Any]) -> dict[str, type[Any]]:
    """The fields of a configuration that are dataclasses themselves, with their types."""
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(kind) if is_dataclass(hints[each.name])}


def flat_defaults(kind: type[Any]) -> dict[str, Any]:
    """All options of a configuration side by side, with their defaults; MISSING where none is."""
    inner = nested(kind)
    found: dict[str, Any] = {}
    for each in fields(kind):
        if each.name in inner:
            found |= flat_defaults(inner[each.name])
        elif each.default_factory is not MISSING:
            found[each.name] = each.default_factory()
        else:
            found[each.name] = each.default
    return found


def flat(config: Any) -> dict[str, Any]:
    """All options of a configuration side by side, as JSON holds them."""
    inner = nested(type(config))
    values: dict[str, Any] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        values |= asdict(value) if each.name in inner else {each.name: value}
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain


def from_flat(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration of options side by side; the others have their defaults.

    :raises ValueError: an unknown option
    """
    known = flat_defaults(kind)
    for name in values:
        if name not in known:
            raise ValueError(f"No option {name!r}.{did_you_mean(name, list(known))}")
    inner, own = nested(kind), {each.name for each in fields(kind)}  # type: ignore[arg-type]
    arguments = {name: value for name, value in values.items() if name in own}
    for name, part in inner.items():
        theirs = flat_defaults(part)
        arguments[name] = from_flat(part, {key: values[key] for key in values if key in theirs})
    return kind(**arguments)


def as_kind(kind: type[Config], config: Any) -> Config:
    """The part of a configuration that a base class of it has."""
    return kind(**{each.name: getattr(config, each.name) for each in fields(kind)})  # type: ignore[arg-type]
