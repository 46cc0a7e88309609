"""The trial's observation: what the policy is fed, (s, a, r, d) and the trial's start."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

OBSERVATION = "observation"
MASK = "action_mask"
PRIVILEGED = "privileged"
FEEDBACK = ("action", "reward", "done", "start")
PARTS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def trial_space(
    observation_space: spaces.Space[Any], action_space: spaces.Space[Any], privileged: int = 0
) -> spaces.Dict:
    """The observation space of trials over an environment with the given spaces.

    ``observation`` is the environment's own (a Dict's parts become ``observation_<key>``, a
    Tuple's ``observation_0`` and so on, and those of Dicts and Tuples within them
    ``observation_<key>_<key>``);
    ``action``, ``reward`` and ``done`` are of the last step, zero on a trial's first step;
    ``start`` is 1 on a trial's first step: it resets the memory and is no feature.

    :param privileged: size of ``privileged``, which the value network alone sees, in training alone
    :raises ValueError: a space that stable-baselines3 cannot handle
    """
    if not isinstance(action_space, PARTS):
        raise ValueError(
            f"Action space {action_space} is not supported: use one of "
            f"{', '.join(space.__name__ for space in PARTS)}."
        )
    if isinstance(action_space, spaces.Box) and not np.issubdtype(action_space.dtype, np.floating):
        raise ValueError(
            f"Action space {action_space} is not supported: the policy's actions are real numbers. "
            "Use a Box of floats, or MultiDiscrete."
        )
    own = _parts(observation_space)
    if not own:
        raise ValueError(f"Observation space {observation_space} has no parts: give it one.")
    parts = {
        **own,
        "action": action_space,
        "reward": spaces.Box(-np.inf, np.inf, (1,), np.float32),
        "done": spaces.MultiBinary(1),
        "start": spaces.MultiBinary(1),
    }
    if privileged:
        parts[PRIVILEGED] = spaces.Box(-np.inf, np.inf, (privileged,), np.float32)
    for key, part in parts.items():
        if not isinstance(part, PARTS):
            raise ValueError(
                f"Observation space {key!r}: {part} is not supported: flatten it first, for "
                "example with gymnasium.wrappers.FlattenObservation."
            )
        if np.any(getattr(part, "start", 0) != 0):
            raise ValueError(f"{key}: {part} is not supported: shift it to begin with 0.")
        if isinstance(part, spaces.Box) and part.shape == ():
            raise ValueError(f"{key}: {part} is not supported: give it the shape (1,).")
        one_dimensional = isinstance(part, spaces.MultiDiscrete) or key == "action"
        if one_dimensional and not isinstance(part, spaces.Box) and len(part.shape or ()) > 1:
            raise ValueError(f"{key}: {part} is not supported: give it one dimension.")
    return spaces.Dict(parts)


def _parts(space: spaces.Space[Any], name: str = OBSERVATION) -> dict[str, Any]:
    if not isinstance(space, (spaces.Dict, spaces.Tuple)):
        return {name: space}
    inner = space.items() if isinstance(space, spaces.Dict) else enumerate(space)
    parts: dict[str, Any] = {}
    for key, part in inner:
        for named, leaf in _parts(part, f"{name}_{key}").items():
            if named in parts:
                raise ValueError(f"Two parts of {space} would be called {named!r}: rename one.")
            if str(key) == MASK:
                raise ValueError(masked(f"observation's {MASK!r}"))
            parts[named] = leaf
    return parts


def masked(what: str) -> str:
    """The error about action masks."""
    return (
        f"The {what} says which actions are allowed, but the policies here do not know action "
        "masks and would take others as well: let the environment take such an action as one "
        "that changes nothing (and may cost), and leave the mask out."
    )


def flatten(value: Any, trial_space: spaces.Space[Any], name: str = OBSERVATION) -> dict[str, Any]:
    """Name the parts of the environment's own observation as the trial's space does.

    :param trial_space: it tells a Tuple's observation from an array that is written as a tuple
    """
    known = isinstance(trial_space, spaces.Dict) and name in trial_space.spaces
    if known or not isinstance(value, (dict, tuple, list)):
        return {name: value}
    parts: dict[str, Any] = {}
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        parts |= flatten(part, trial_space, f"{name}_{key}")
    return parts


def is_trial_space(space: spaces.Space[Any]) -> bool:
    """Whether an observation space is that of trials."""
    return isinstance(space, spaces.Dict) and set(FEEDBACK) < set(space.keys())


def no_action(action_space: spaces.Space[Any]) -> NDArray[Any]:
    """The placeholder for the last action on a trial's first step: 0, or the nearest to it."""
    nothing: NDArray[Any] = np.zeros(action_space.shape or (), action_space.dtype or np.float32)
    if isinstance(action_space, spaces.Box):
        nothing = np.clip(nothing, action_space.low, action_space.high)
    return nothing


def like_space(action: Any, space: spaces.Space[Any]) -> Any:
    """A copy of an action, with the type and the shape of its space."""
    return np.array(action, space.dtype).reshape(space.shape or ())[()]
