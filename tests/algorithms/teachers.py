"""Teachers that are told something, or know one thing."""

from __future__ import annotations

from typing import Any

import numpy as np


class Told:
    """Pulls the arm that the privileged observation tells to be the best of two."""

    privileged = True

    def action_probabilities(
        self, obs: Any, state: Any = None, episode_start: Any = None
    ) -> tuple[Any, Any]:
        return np.eye(2)[obs["privileged"][:, :2].argmax(1)], state


class Left:
    """Goes left at each trial's start, then right."""

    def action_probabilities(
        self, obs: Any, state: Any = None, episode_start: Any = None
    ) -> tuple[Any, Any]:
        return np.eye(3)[np.where(obs["start"][:, 0] > 0, 0, 2)], state


class Right:
    """Goes right."""

    def action_probabilities(
        self, obs: Any, state: Any = None, episode_start: Any = None
    ) -> tuple[Any, Any]:
        return np.tile([0.0, 1.0], (len(obs["start"]), 1)), state
