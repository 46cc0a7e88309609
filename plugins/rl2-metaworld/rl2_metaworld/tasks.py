"""Meta-World's benchmarks of meta-learning, as rl2-sb3 finds them by their names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from metaworld.env_dict import ENV_CLS_MAP as FAMILIES
from metaworld.env_dict import ML10_V3, ML45_V3
from typing_extensions import Self

from rl2_metaworld.env import GOALS, ArmEnv, Split, Task
from rl2_sb3 import GymTasks
from rl2_sb3.registry import did_you_mean

HORIZON = 500
"""Meta-World's own, which its simulator does not go beyond."""


@dataclass
class _Benchmark(GymTasks):
    """What all have: families of tasks for each split, and goals in each of them."""

    split: Split = "train"
    """The two have no goal in common, and in ML10 and ML45 no family."""
    goals: int = GOALS
    """Goals of each family to train on: the benchmarks have 50, more are drawn as those were. Each
    process takes one to two seconds for 50 of them, when the first is needed. What is held out is
    always the benchmarks'."""
    horizon: int = HORIZON
    """Steps of an episode, at most 500."""

    def __post_init__(self) -> None:
        if self.split not in get_args(Split):
            raise ValueError(f"split={self.split!r}: use train or test.")
        if not 1 <= self.horizon <= HORIZON:
            raise ValueError(f"horizon={self.horizon!r}: 1 to {HORIZON}.")
        if self.goals < 1:
            raise ValueError(f"goals={self.goals!r}: at least 1.")

    @abstractmethod
    def families(self) -> Sequence[str]:
        """Their names, of the split."""

    def sample(self, rng: np.random.Generator) -> Task:
        """Draw a family, and one of its goals."""
        families = self.families()
        return Task(
            families[int(rng.integers(len(families)))], self.split, int(rng.integers(self._many()))
        )

    def all_tasks(self) -> Sequence[Task]:
        """All goals of the split, family by family."""
        goals = range(self._many())
        return [Task(each, self.split, goal) for each in self.families() for goal in goals]

    def _many(self) -> int:
        """Goals of each family in the split."""
        return self.goals if self.split == "train" else GOALS

    def held_out(self) -> Self:
        """The test split."""
        return replace(self, split="test")

    def make_env(self) -> ArmEnv:
        """An environment that can take any of the tasks."""
        return ArmEnv(self.all_tasks()[0], self.horizon)


@dataclass
class ML1(_Benchmark):
    """One family of Meta-World's, such as reach-v3; the goal differs from task to task."""

    family: str = "reach-v3"
    """Its name: reach-v3, push-v3, pick-place-v3, or any other of the fifty."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.family not in FAMILIES:
            hint = did_you_mean(self.family, list(FAMILIES))
            raise ValueError(
                f"family={self.family!r} is none of Meta-World's.{hint} There are: "
                f"{', '.join(sorted(FAMILIES))}."
            )

    def families(self) -> Sequence[str]:
        """The one."""
        return [self.family]


@dataclass
class ML10(_Benchmark):
    """Ten families to train on, and five others to be tested on."""

    def families(self) -> Sequence[str]:
        """The ten or the five."""
        return list(ML10_V3[self.split])


@dataclass
class ML45(_Benchmark):
    """Forty-five families to train on, and five others to be tested on."""

    def families(self) -> Sequence[str]:
        """The forty-five or the five."""
        return list(ML45_V3[self.split])
