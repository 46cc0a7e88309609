"""Ranges of options: stated with the option's type in :mod:`rl2_sb3.config`, checked here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple, get_args, get_type_hints


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``; in ``Annotated`` with a tuple, each of its numbers."""

    low: float
    high: float = math.inf
    above: bool = False
    """``low`` itself is none of them."""
    whole: bool = False
    """Only whole numbers."""
    endless: bool = False
    """Infinity, too."""

    def holds(self, value: Any) -> bool:
        """Whether a value is a number of the range."""
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number = float(value)
        if math.isinf(number) and not self.endless:
            return False
        return (self.low < number if self.above else self.low <= number) and number <= self.high

    def __str__(self) -> str:
        """In words: "a whole number from 1 on"."""
        noun = "a whole number" if self.whole else "a number"
        if math.isfinite(self.high):
            begin = f"above {self.low:g}, at most" if self.above else f"from {self.low:g} to"
            return f"{noun} {begin} {self.high:.10g}"
        return f"{noun} above {self.low:g}" if self.above else f"{noun} from {self.low:g} on"


def check_options(kind: type[Any], values: Mapping[str, Any]) -> None:
    """Refuse options that are out of their ranges.

    ``None``, which stands for a default, and functions, which are schedules, are not looked at.

    :param kind: a configuration, whose types state the ranges
    :param values: options by their names, side by side; others are ignored
    :raises ValueError: out of range
    """
    for name, allowed in _ranges(kind):
        value = values.get(name)
        if value is None or callable(value):
            continue
        each = value if isinstance(value, (list, tuple)) else [value]
        for number in each:
            if not allowed.holds(number):
                raise ValueError(f"{name}={value}: use {allowed}.")


def check_config(config: Any) -> None:
    """The same for all options of a configuration.

    :raises ValueError: out of range
    """
    values = {each.name: getattr(config, each.name) for each in fields(config)}
    check_options(type(config), values)
    for value in values.values():
        if is_dataclass(value):
            check_config(value)


def _ranges(kind: type[Any]) -> Iterator[tuple[str, Range]]:
    """The options of a configuration that have ranges, those of its parts not among them."""
    hints = get_type_hints(kind, include_extras=True)
    for each in fields(kind):
        yield from ((each.name, found) for found in _stated(hints[each.name]))


def _stated(hint: Any) -> Iterator[Range]:
    """In a type and in those that it is made of."""
    if isinstance(hint, Range):
        yield hint
    for part in get_args(hint):
        yield from _stated(part)
