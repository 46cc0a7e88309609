"""The one loop that plays trials."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rl2_sb3 import RL2PPO, BernoulliBandit, evaluate_trials, make_trials
from rl2_sb3.trials.play import PlayedStep, play
from tests.envs import ListedGoals, SmallEnv, vector


class Alternating:
    """Acts 0, 1, 0, ... from each trial's beginning; its state is how often it acted."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        acted = np.zeros(len(episode_start), int) if state is None else state
        acted = np.where(episode_start, 0, acted)
        return acted % 2, acted + 1


def test_columns_play_one_trial_after_the_other() -> None:
    trials = make_trials(BernoulliBandit(arms=2), 3, episodes=2, seed=0)
    steps = list(play(Alternating(), trials, n_trials=5))
    assert [step.trial.tolist() for step in steps] == 2 * [[0, 1, 2]] + 2 * [[3, 4, 5]]
    assert [step.busy.tolist() for step in steps] == 2 * [3 * [True]] + 2 * [[True, True, False]]
    assert [step.episode.tolist() for step in steps] == 2 * [[0, 0, 0], [1, 1, 1]]
    assert [step.action.tolist() for step in steps] == 2 * [[0, 0, 0], [1, 1, 1]]
    for step, after in pairwise(steps):
        assert after.observation is step.came.observation


def test_it_goes_on_from_trials_that_have_begun() -> None:
    """As imitation does, round by round."""
    whole, parted = (make_trials("bandit", 2, episodes=2, seed=4, arms=2) for _ in range(2))
    expected = list(islice(play(Alternating(), whole), 4))
    first = list(islice(play(Alternating(), parted), 2))
    then = play(Alternating(), parted, observation=first[-1].came.observation)
    for step, other in zip([*first, *islice(then, 2)], expected, strict=True):
        np.testing.assert_equal(step.came._asdict(), other.came._asdict())
        np.testing.assert_array_equal(step.action, other.action)


def test_a_lost_trial_comes_again_with_the_same_number() -> None:
    """The simulator dies in its eighth step."""
    trials = make_trials(ListedGoals(dies=8), 1, episodes=3, seed=1)
    steps = list(play(Alternating(), trials, n_trials=2))
    (lost,) = (i for i, step in enumerate(steps) if step.came.lost[0])
    assert lost == 7
    trial, begun = steps[lost].trial[0], [step.observation["start"][0, 0] for step in steps]
    assert steps[lost + 1].trial[0] == trial
    assert (steps[lost + 1].episode[0], begun[lost + 1]) == (0, 1)
    assert sum(begun) == 3


def test_what_is_played_can_be_recorded(monkeypatch: Any) -> None:
    """How often each arm was pulled in each trial; trials are numbered over all batches."""
    monkeypatch.setattr("rl2_sb3.evaluation.BATCH", 2)
    pulls = np.zeros((5, 2), int)

    def count(step: PlayedStep) -> None:
        pulls[step.trial[step.busy], step.action[step.busy]] += 1

    evaluate_trials(Alternating(), BernoulliBandit(arms=2), 5, episodes=3, on_step=count)
    assert pulls.tolist() == 5 * [[2, 1]]


class LateNaN(SmallEnv):
    """Trials of 50 steps; the observation after step 113 is NaN."""

    def __init__(self) -> None:
        super().__init__(vector(2), spaces.Discrete(2), length=25)
        self.taken = 0

    def step(self, action: Any) -> Any:
        self.taken += 1
        own, *rest = super().step(action)
        return own * (np.float32("nan") if self.taken == 113 else 1), *rest


def test_late_nans_are_named() -> None:
    model = RL2PPO("GRUPolicy", make_trials(LateNaN, 1, episodes=2), device="cpu")
    message = "Environment 0, in trial 2, step 13, hands in observation nan, not a finite number"
    with pytest.raises(RuntimeError, match=message):
        list(play(model, make_trials(LateNaN, 1, episodes=2), n_trials=3))
