"""Action masks, which no policy here knows, are refused with a word."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rl2_sb3 import make_trials
from rl2_sb3.trials import TrialWrapper
from tests.envs import RaggedTasks, SmallEnv, vector


def test_action_masks_are_refused_at_once() -> None:
    class Masked(SmallEnv):
        def __init__(self) -> None:
            super().__init__(vector(1), spaces.Discrete(2))

        def action_masks(self) -> Any:
            return [True, False]

    class InInfo(SmallEnv):
        def __init__(self) -> None:
            super().__init__(vector(1), spaces.Discrete(2))

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return super().reset(seed=seed)[0], {"action_mask": np.array([1, 0])}

    class MaskedTasks(RaggedTasks):
        def action_masks(self) -> Any:
            return None

    way_out = "The {} says which actions are allowed, but .*: let the environment take such an"
    for env in (Masked(), gym.Wrapper(Masked())):
        with pytest.raises(ValueError, match=way_out.format("method action_masks of Masked")):
            TrialWrapper(env, 2)
    with pytest.raises(ValueError, match=way_out.format("method action_masks of MaskedTasks")):
        make_trials(MaskedTasks(), 2)
    with pytest.raises(ValueError, match=way_out.format(r"info\['action_mask'\] of <InInfo.*")):
        TrialWrapper(InInfo(), 2).reset(seed=0)
