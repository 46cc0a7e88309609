"""What happens where episodes and trials meet: generators, rewards of any size, lost trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rl2_sb3.trials import BatchedTrials, TrialWrapper
from tests.algorithms.collecting import Clockwork
from tests.envs import GoalEnv, GoalTasks, RaggedTasks, SmallEnv, vector


class Noted(RaggedTasks):
    """Notes which generator draws tasks, and which one what happens in them."""

    def __init__(self) -> None:
        super().__init__()
        self.sampling: list[Any] = []
        self.resetting: list[tuple[int, Any]] = []

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        self.sampling.append(rng)
        return super().sample(n, rng)

    def reset(self, params: Any, rng: np.random.Generator) -> Any:
        self.resetting.append((len(params.gain), rng))
        return super().reset(params, rng)


@pytest.mark.parametrize("columns", [1, 3])
def test_tasks_have_a_generator_of_their_own(columns: int) -> None:
    """Whatever is drawn in a trial, the next one's task is the same."""
    tasks = Noted()
    trials = BatchedTrials(tasks, n_envs=columns, episodes=3, seed=0)
    trials.reset()
    for _ in range(60):
        trials.step(np.zeros(columns, int))
    assert len(tasks.sampling) > 5
    drawing, happening = (
        {id(rng) for rng in tasks.sampling},
        {id(rng) for _, rng in tasks.resetting},
    )
    assert len(drawing) == len(happening) == 1
    assert drawing.isdisjoint(happening)
    assert {n for n, _ in tasks.resetting} >= {1, columns}


class Rich(Clockwork):
    """Rewards of thousands."""

    def step(self, *args: Any) -> Any:
        state, observation, reward, ended = super().step(*args)
        return state, observation, 4000 * reward - 2000, ended


class RichEnv(SmallEnv):
    def reward(self, action: Any, over: bool) -> float:
        return 2000.0 if over else -2000.0


def test_rewards_are_observed_as_they_are() -> None:
    arrays = BatchedTrials(Rich(), n_envs=1, episodes=2)
    arrays.reset()
    told = [arrays.step(np.zeros(1, int))[0] for _ in range(3)]
    assert [obs["reward"].item() for obs in told if isinstance(obs, dict)] == [-2000, 2000, -2000]
    wrapped = TrialWrapper(RichEnv(vector(2), spaces.Discrete(2), length=2), 2)
    wrapped.reset(seed=0)
    assert [wrapped.step(0)[0]["reward"].item() for _ in range(3)] == [-2000, 2000, -2000]


class Dying(GoalEnv):
    """Its simulator dies in the first step of the trials that are named."""

    def __init__(self, deaths: list[bool]):
        super().__init__()
        self.deaths = iter(deaths)

    def reset(self, **options: Any) -> Any:
        self.dies = next(self.deaths)
        return super().reset(**options)

    def step(self, action: Any) -> Any:
        if self.dies:
            return self._observation(), 0.0, True, False, {"rl2": {"lost": True}}
        return super().step(action)


def play_trials(deaths: list[bool]) -> TrialWrapper:
    trials = TrialWrapper(Dying(deaths), 1, GoalTasks(), order=[9])  # out of reach: five steps
    trials.reset(seed=0)
    for i in range(len(deaths)):
        over = lost = False
        while not (over or lost):
            observation, _, over, lost, _ = trials.step(1)
        assert lost == deaths[i]
        assert observation["done"].tolist() == [not lost]  # a lost episode has no end
        if i + 1 < len(deaths):
            trials.reset()
    return trials


def test_losses_are_counted_in_a_row() -> None:
    play_trials([*9 * [True], False, *9 * [True], False, True])
    with pytest.raises(RuntimeError, match="died 10 times in a row"):
        play_trials([False, *10 * [True]])
