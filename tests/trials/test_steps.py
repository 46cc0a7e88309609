"""What trials tell of a step: only what an environment says in the place that is ours."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rl2_sb3 import GymTasks, make_trials
from rl2_sb3.tasks import StepInfo
from rl2_sb3.tasks.step_info import read_step_info
from rl2_sb3.trials.steps import TrialStep, read_step

FOREIGN: dict[str, Any] = {
    **{"lost": True, "expected_reward": 100.0, "training_reward": 100.0, "success": True},
    **{"privileged": [1.0], "is_success": np.array([1.0, 0.0]), "terminal_observation": "mine"},
    "rl2": {"lost": True, "success": True, "training_reward": 100.0},
}
"""What an environment may tell for reasons of its own: a game was lost, two goals of a robot."""


class ForeignEnv(gym.Env[Any, Any]):
    """Episodes of two steps that pay 1 each."""

    def __init__(self, **info: Any) -> None:
        self.observation_space, self.action_space = spaces.Discrete(1), spaces.Discrete(2)
        self.info = info

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return 0, dict(self.info)

    def step(self, action: Any) -> Any:
        self.steps += 1
        return 0, 1.0, self.steps == 2, False, dict(self.info)


class ForeignTasks(GymTasks):
    """Those environments as tasks: what they tell in the place that is ours is meant for us."""

    def __init__(self, **info: Any) -> None:
        self.info = info

    def sample(self, rng: np.random.Generator) -> int:
        return int(rng.integers(9))

    def make_env(self) -> ForeignEnv:
        return ForeignEnv(**self.info)


def steps(source: Any, n: int, **options: Any) -> tuple[list[TrialStep], list[Any]]:
    trials = make_trials(source, 1, episodes=2, **options)
    trials.reset()
    taken = [trials.step(np.zeros(1, np.int64)) for _ in range(n)]
    return [read_step(*step) for step in taken], [step[3][0] for step in taken]


@pytest.mark.parametrize("source", [lambda: ForeignEnv(**FOREIGN), ForeignEnv(**FOREIGN)])
def test_a_foreign_environments_own_info_is_not_taken_for_ours(source: Any) -> None:
    told, infos = steps(source, 4)
    assert [step.trial_ended[0] for step in told] == [False, False, False, True]
    assert [step.episode_ended[0] for step in told] == [False, True, False, True]
    for step, info in zip(told, infos, strict=True):
        assert (step.reward[0], step.training_reward[0]) == (1, 1)
        assert not step.lost[0]
        assert np.isnan(step.success[0])
        replaced = {"rl2", "terminal_observation"}
        kept = {key: FOREIGN[key] for key in FOREIGN.keys() - replaced}
        np.testing.assert_equal({key: info[key] for key in kept}, kept)


def test_nor_is_that_of_tasks_under_another_key() -> None:
    foreign = {key: value for key, value in FOREIGN.items() if key != "rl2"}
    told, _ = steps(ForeignTasks(**foreign), 4)
    assert [step.trial_ended[0] for step in told] == [False, False, False, True]
    assert not any(step.lost[0] for step in told)
    assert np.isnan([step.success[0] for step in told]).all()


def test_tasks_tell_in_the_place_that_is_ours() -> None:
    info: dict[str, Any] = {"rl2": {"success": False, "training_reward": 0.25}, "is_success": True}
    for privileged, learned in ((False, 1.0), (True, 0.25)):
        told, infos = steps(ForeignTasks(**info), 2, privileged=privileged)
        assert (told[1].reward[0], told[1].training_reward[0]) == (1, learned)
        assert told[1].success[0] == 0
        assert infos[1]["rl2"] == StepInfo(0.25 if privileged else None, None, False, False)


@pytest.mark.parametrize(
    ("value", "success"),
    [(True, 1), (np.bool_(False), 0), (1.0, 1), (0.5, None), ("yes", None), ([True], None)],
)
def test_is_success_is_read_as_sb3_reads_it_where_it_is_a_truth_value(
    value: Any, success: float | None
) -> None:
    told, _ = steps(lambda: ForeignEnv(is_success=value), 2)
    np.testing.assert_equal(told[1].success[0], np.nan if success is None else success)


def test_a_trial_is_cut_where_it_is_truncated_at_its_end() -> None:
    """SB3's entry in the middle of a trial is of some time limit within it."""
    observation = {"done": np.zeros((3, 1), np.int8), "start": np.zeros((3, 1), np.int8)}
    infos = [{"TimeLimit.truncated": cut} for cut in (True, True, False)]
    told = read_step(observation, np.zeros(3), np.array([False, True, True]), infos)
    assert told.cut.tolist() == [False, True, False]


def test_a_misspelt_entry_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"no entry 'sucess'. Did you mean 'success'"):
        read_step_info({"rl2": {"sucess": True}}, declared=True)


def test_arrays_tell_the_same_in_the_same_place() -> None:
    trials = make_trials("bandit", 3, episodes=2, seed=1, privileged=True, arms=2)
    first: Any = trials.reset()
    pulled, _, best = first["privileged"][:, :3].T
    observation, reward, done, infos = trials.step(np.zeros(3, np.int64))
    step = read_step(observation, reward, done, infos)
    np.testing.assert_allclose(step.training_reward, pulled - best, rtol=1e-5)
    by_column = read_step(observation, reward, done, [infos[i] for i in range(3)])
    np.testing.assert_equal(by_column._asdict(), step._asdict())
