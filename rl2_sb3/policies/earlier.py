"""What earlier versions called things, and took for granted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

Part = TypeVar("Part")

DEFAULTS = {"hidden_size": 256, "action_reward": False}
"""Options of the policy whose defaults have changed."""
ABSENT = {"normalize_observations": False}
"""Options of the policy that earlier files do not have, with their values there."""
CORES = ("mlp_extractor.policy.", "mlp_extractor.value.")


def present_names(state: Mapping[str, Part]) -> dict[str, Part]:
    """A policy's state under the names of this version.

    The memory was called ``gru`` when there was no other.
    """
    return {_present_name(name): part for name, part in state.items()}


def rename_to_present(_: Any, state: dict[str, Any], *__: Any) -> None:
    """The same in place: what a policy does before it loads a state."""
    for name in list(state):
        state[_present_name(name)] = state.pop(name)


def _present_name(name: str) -> str:
    for core in CORES:
        name = name.replace(f"{core}gru.", f"{core}memory.")
    return name
