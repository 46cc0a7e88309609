"""What a reset or a step gives has its parts, before each of them is looked at."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from rl2_sb3.trials.checks import FlawError, refusal

RESET = ("observation", "info")
STEP = ("observation", "reward", "terminated", "truncated", "info")
BATCHED_RESET = ("state", "observation")
BATCHED_STEP = ("state", "observation", "reward", "ended")


def read_parts(
    given: Any, names: tuple[str, ...], place: Callable[[], tuple[str, int, int]]
) -> Any:
    """What was given, as it is.

    :param names: of the parts that it must have
    :param place: the environment, the trial and the step, for the error to name
    :raises RuntimeError: more or fewer parts, or an ``info`` that is no dict
    """
    whole = isinstance(given, (tuple, list)) and len(given) == len(names)
    if whole and (names[-1] != "info" or isinstance(given[-1], Mapping)):
        return given
    flaw = FlawError(f"{reprlib.repr(given)}, not ({', '.join(names)})")
    raise refusal(flaw, *place())
