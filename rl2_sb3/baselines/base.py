"""What every baseline offers, and how one is made from its name."""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from rl2_sb3.registry import BASELINES
from rl2_sb3.trials.play import Predictor

# A task distribution seeded alike must not draw the very numbers that its agent draws: Thompson
# sampling's first draws would then be the arms' true means.
STREAM = 0x626173656C696E65


class Baseline(Predictor, Protocol):
    """An agent that is not trained; what the entry-point group ``rl2_sb3.baselines`` names."""

    @classmethod
    def for_tasks(cls, tasks: Any, episodes: int, **parameters: Any) -> Self:
        """The agent for a task distribution and trials of ``episodes`` episodes.

        :raises ValueError: a distribution that it does not play, or an unknown parameter
        """

    def expected_return(self) -> float | None:
        """The exact expected return of a trial, for agents that know it."""


@dataclass(frozen=True, kw_only=True)
class SeededAgent:
    """A baseline with randomness of its own, whose fields are its parameters."""

    seed: int = 0
    """Seed of the agent's own randomness: its draws and its ties."""

    @classmethod
    def check_names(
        cls, parameters: Mapping[str, Any], besides: str | Collection[str] = ()
    ) -> None:
        """Refuse a parameter that the agent has not, or that is no finite number.

        :param besides: the field that is no parameter, or several
        """
        hidden = {besides} if isinstance(besides, str) else besides
        names = [field.name for field in fields(cls) if field.name not in hidden]
        for name, value in parameters.items():
            if name not in names:
                raise ValueError(f"{cls.__name__} has no parameter {name!r}, only {names}.")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name}={value}: use a finite number.")

    def expected_return(self) -> float | None:
        """The exact expected return of a trial, for agents that know it."""
        return None

    @cached_property
    def rng(self) -> np.random.Generator:
        """The agent's randomness; every call of ``predict`` draws from it."""
        return np.random.default_rng((self.seed, STREAM))


def started(
    observation: Mapping[str, NDArray[Any]], episode_start: NDArray[Any] | None
) -> NDArray[np.bool_]:
    """Which trials start, ``(N,)``: by their observation, or by what SB3 says."""
    start = np.asarray(observation["start"]).reshape(-1) > 0
    return start if episode_start is None else start | (np.ravel(episode_start) > 0)


def make_baseline(spec: str, tasks: Any, episodes: int) -> Baseline:
    """Make a baseline from its name, with parameters if need be: ``"ucb1(c=0.1)"``.

    :raises ValueError: an unknown name or parameter, or a text of another form
    """
    try:
        name, bracket, rest = spec.partition("(")
        parsed = ast.parse(name.replace("-", "_") + bracket + rest, mode="eval").body
        call = parsed if isinstance(parsed, ast.Call) else None
        keywords = [] if call is None else call.keywords
        parameters = {str(k.arg): ast.literal_eval(k.value) for k in keywords}
        if call is not None and call.args:
            raise ValueError("parameters have names")
    except (SyntaxError, ValueError) as error:
        raise ValueError(
            f"{spec!r} is no baseline with its parameters: write ucb1, 'ucb1(c=0.1)' or "
            "\"beb(prior='true')\"."
        ) from error
    given = {"tasks", "episodes"} & parameters.keys()
    if given:
        raise ValueError(f"{spec}: {min(given)} are those that it plays, leave them out.")
    kind = BASELINES.load(name.strip())
    baseline: Baseline = kind.for_tasks(tasks, episodes, **parameters)
    return baseline
