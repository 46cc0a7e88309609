"""YAML as nodes that know their line: read without making anything of a stranger's file.

Only single values are made, of YAML's own types. So no alias is followed in a circle, none is
multiplied out, and a key that comes twice is seen.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from rl2_sb3.registry import did_you_mean

LARGEST = 1_000_000
"""Bytes of a file: beyond it is no sweep that anybody wrote."""
EXPONENT = r"[+-]?\d+(\.\d*)?[eE][+-]?\d+"
"""A number without the point or the sign that YAML 1.1 wants."""
MAPPING, LIST = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"


class Node:
    """A piece of YAML that knows its line."""

    def __init__(self, path: Path, node: yaml.Node):
        self.path, self.node, self.line = path, node, node.start_mark.line + 1

    def error(self, message: str) -> ValueError:
        """An error that says where it is."""
        return ValueError(f"{self.path}, line {self.line}: {message}")

    def parts(self, known: tuple[str, ...] | None = None) -> dict[str, Node]:
        """The values of a mapping, by key.

        :param known: the keys that there are; by default any
        :raises ValueError: no mapping, a key that comes twice, or one that is unknown
        """
        if not isinstance(self.node, yaml.MappingNode) or self.node.tag != MAPPING:
            raise self.error("expected a mapping, `key: value`.")
        parts: dict[str, Node] = {}
        for key_node, value in self.node.value:
            at = Node(self.path, key_node)
            key = at.value()
            if not isinstance(key, str):
                raise at.error(f"the key {key!r} is no text: write it in quotes.")
            if key in parts:
                raise at.error(f"the key {key!r} comes twice, first in line {parts[key].line}.")
            if known is not None and key not in known:
                hint = did_you_mean(key, list(known)) or f" There is: {', '.join(known)}."
                raise at.error(f"unknown key {key!r}.{hint}")
            parts[key] = Node(self.path, value)
        return parts

    def items(self) -> list[Any]:
        """The single values of a list.

        :raises ValueError: no list, or one of others
        """
        if not isinstance(self.node, yaml.SequenceNode) or self.node.tag != LIST:
            raise self.error("expected a list, `[value, value]`.")
        return [Node(self.path, part).value() for part in self.node.value]

    def values(self) -> list[Any]:
        """The values of a list, each single or itself a list of single ones.

        :raises ValueError: no list, or one of others
        """
        if not isinstance(self.node, yaml.SequenceNode) or self.node.tag != LIST:
            raise self.error("expected a list, `[value, value]`.")
        return [Node(self.path, part).value_or_list() for part in self.node.value]

    def value_or_list(self) -> Any:
        """A single value, or a list of single ones.

        :raises ValueError: another
        """
        return self.items() if isinstance(self.node, yaml.SequenceNode) else self.value()

    def value(self) -> Any:
        """A single value: text, a number, true or false.

        :raises ValueError: a list, a mapping, another type, or a number that is not finite
        """
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.error("expected a single value.")
        try:
            value = yaml.SafeLoader("").construct_object(self.node)
        except (yaml.YAMLError, ValueError, KeyError) as error:
            raise self.error(f"{self.node.value!r} cannot be read: {_reason(error)}.") from error
        if not isinstance(value, (str, bool, int, float)):
            kind = "nothing" if value is None else f"of type {type(value).__name__}"
            raise self.error(
                f"{self.node.value!r} is {kind}: use text, a number, true or false; "
                "quotes make text of anything."
            )
        plain = self.node.style is None
        if isinstance(value, str) and plain and re.fullmatch(EXPONENT, value):
            raise self.error(f"{value!r} is text to YAML: write {float(value)!r}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(f"{self.node.value} is not finite.")
        return value

    def text(self) -> str:
        """Text.

        :raises ValueError: another value
        """
        value = self.value()
        if not isinstance(value, str):
            raise self.error(f"{value!r} is no text: write it in quotes.")
        return value


def read_yaml(path: Path) -> Node:
    """The root of a YAML file.

    :raises ValueError: a file that cannot be read, is no YAML, or is empty
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"{path} has more than {LARGEST:,} bytes: it is no sweep.")
        tree = yaml.compose(content.decode(), yaml.SafeLoader)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply.") from error
    if tree is None:
        raise ValueError(f"{path} is empty.")
    return Node(path, tree)


def _reason(error: Exception) -> str:
    problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else None
    return problem or str(error)
