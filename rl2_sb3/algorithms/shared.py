"""What the ranks of one training do together; see :mod:`rl2_sb3.ranks`."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import suppress
from types import NoneType
from typing import TypeVar

import torch as th

from rl2_sb3 import ranks
from rl2_sb3.algorithms.saving import SavedTraining
from rl2_sb3.trials.make import seed_trials
from rl2_sb3.trials.steps import normalised

T = TypeVar("T")
OWN = ("verbose", "tensorboard_log", "threads", "seconds", "start_time", "seed", "stopped")
"""Attributes that may be others on each rank."""
WHOLE, EARLY, FAILED = range(3)
"""How a rollout ended."""


class SharedTraining(SavedTraining):
    """An on-policy algorithm on trials that may be trained by several ranks."""

    stopped: bool = False
    """Whether the last rollout was ended early, on all ranks."""

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed everything, the trials so that those of two seeds have nothing in common.

        The weights of all ranks are the same, their trials are not.
        """
        super().set_random_seed(seed)
        if seed is not None and self.env is not None:
            seed_trials(self.env, ranks.seed(seed))

    def _setup_model(self) -> None:
        super()._setup_model()
        if not ranks.is_first():  # actions are this rank's own, too
            th.manual_seed(ranks.seed(th.initial_seed() if self.seed is None else self.seed))

    def meet(self) -> None:
        """See that all ranks are to train the same.

        :raises ValueError: they are not, or rewards are scaled in each of them by itself
        """
        if ranks.size() == 1:
            return
        atexit.unregister(ranks.leave)  # of the learning before
        atexit.register(ranks.leave)  # whoever began the process group
        if normalised(self.env) is not None:
            raise ValueError(
                "A VecNormalize scales the rewards of one rank by its own statistics: leave it out "
                "where there are several, PopArt normalises returns over all of them."
            )
        plain = {
            name: value
            for name, value in vars(self).items()
            if name not in OWN and name[0] != "_" and isinstance(value, (int, float, str, NoneType))
        }
        shapes = {name: list(each.shape) for name, each in self.policy.state_dict().items()}
        ranks.check_same({"algorithm": type(self).__name__, **plain, **shapes})

    def leave_together(self, play: Callable[[], T | None]) -> T | None:
        """Play a rollout which all ranks leave alike: where one stops or fails, all do.

        A rank that is killed says nothing: the others find out when they listen.

        :param play: gives None where the rollout was stopped
        :raises EchoError: it failed on another rank
        """
        try:
            played = play()
        except (Exception, SystemExit):
            with suppress(ranks.LostError):
                self._agree(FAILED)
            raise
        if self._agree(EARLY if played is None else WHOLE) == FAILED:
            raise ranks.EchoError("Another rank has failed, and says why: this one ends with it.")
        return None if self.stopped else played

    def _agree(self, end: int) -> int:
        """How the rollout ended where it ended worst; all have played as many steps, as they count.

        :param end: how it ended here
        """
        worst, self.num_timesteps = ranks.greatest(end, self.num_timesteps)
        self.stopped = worst != WHOLE
        return worst
