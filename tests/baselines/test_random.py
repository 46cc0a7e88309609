from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rl2_sb3.baselines.random import RandomActions
from rl2_sb3.tasks import BernoulliBandit

FIRST = {"start": np.ones((3000, 1))}


def test_any_arm_is_as_likely_and_a_seed_repeats_the_draws() -> None:
    def draws(seed: int) -> Any:
        agent = RandomActions.for_tasks(BernoulliBandit(arms=4), 10, seed=seed)
        return np.stack([agent.predict(FIRST)[0] for _ in range(2)])

    drawn = draws(0)
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / drawn.size, 0.25, atol=0.03)
    assert (drawn[0] != drawn[1]).any()
    np.testing.assert_array_equal(draws(0), drawn)
    assert (draws(1) != drawn).any()


@pytest.mark.parametrize(
    "space", [spaces.Box(-1, 1, (2,)), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)]
)
def test_actions_of_any_space(space: spaces.Space[Any]) -> None:
    actions, state = RandomActions(action_space=space).predict(FIRST, state="kept")
    assert len(actions) == 3000
    assert all(space.contains(action) for action in actions[:20])
    assert state == "kept"


def test_a_gymnasium_environment_tells_its_actions() -> None:
    agent = RandomActions.for_tasks(partial(gym.make, "Pendulum-v1"), 2)
    assert agent.action_space == gym.make("Pendulum-v1").action_space
