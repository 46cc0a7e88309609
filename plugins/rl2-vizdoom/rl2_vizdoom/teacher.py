"""A teacher for mazes: it knows the way, and says where to turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from rl2_sb3.baselines.base import SeededAgent
from rl2_sb3.trials.spaces import PRIVILEGED
from rl2_vizdoom.env import FORWARD, TURN_LEFT, TURN_RIGHT
from rl2_vizdoom.raycast import RaycastMaze
from rl2_vizdoom.tasks import VizdoomMaze


@dataclass(frozen=True, kw_only=True)
class Guide(SeededAgent):
    """Turns to where the way to the goal goes on, and walks on once it faces there.

    It reads the privileged observation, so it teaches and plays in privileged trials alone. Its own
    play may turn to and fro at a corner for ever, so let the student play, and the guide say what
    it would do: ``rl2 imitate raycast-maze --teacher guide --privileged --student-share 1``.
    """

    width: float = 12.0
    """Degrees to either side within which it walks on."""
    privileged: ClassVar[bool] = True

    @classmethod
    def for_tasks(cls, tasks: Any, episodes: int, **parameters: Any) -> Self:
        """The guide for mazes.

        :raises ValueError: other tasks, or an unknown parameter
        """
        if not isinstance(tasks, (RaycastMaze, VizdoomMaze)):
            raise ValueError(f"guide knows its way in mazes alone, not in {type(tasks).__name__}.")
        cls.check_names(parameters, besides="seed")
        return cls(**parameters)

    def __post_init__(self) -> None:
        if not 0 < self.width < 180:
            raise ValueError(f"width={self.width}: use degrees above 0 and below 180.")

    def action_probabilities(
        self, observation: Any, state: Any = None, episode_start: Any = None
    ) -> tuple[NDArray[np.floating], Any]:
        """One for the action that it takes, ``(trials, 3)``.

        :param observation: of privileged trials
        :raises ValueError: of others
        """
        told = observation.get(PRIVILEGED)
        if told is None:
            raise ValueError(
                "guide plays in trials with the privileged observation alone, make_trials(..., "
                "privileged=True); as a teacher: rl2 imitate ... --teacher guide --privileged."
            )
        left = np.degrees(np.arctan2(told[:, 2], told[:, 1]))  # see rl2_vizdoom.field.TOLD
        turn = np.where(left > 0, TURN_LEFT, TURN_RIGHT)
        return np.eye(3)[np.where(np.abs(left) <= self.width, FORWARD, turn)], state

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], Any]:
        """Choose actions, ``(trials,)``.

        :raises ValueError: see :meth:`action_probabilities`
        """
        chances, state = self.action_probabilities(observation, state, episode_start)
        return chances.argmax(1), state
