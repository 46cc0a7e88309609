"""The seed and the state of trials of arrays: what they decide, and where they go on."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rl2_sb3.tasks import BatchedTasks, BernoulliBandit
from rl2_sb3.trials import BatchedTrials
from tests.envs import RaggedTasks
from tests.trials.test_batched import Context, Levers, Rng, make


def run(trials: BatchedTrials, actions: NDArray[Any]) -> list[Any]:
    return [(*result[:3], list(result[3])) for result in map(trials.step, actions)]


@pytest.mark.parametrize("tasks", [BernoulliBandit(3), RaggedTasks()])
def test_seed_decides_everything(tasks: BatchedTasks[Any, Any]) -> None:
    actions = np.random.default_rng(0).integers(0, 3, (20, 4))
    first, again, other = (make(tasks, 4, 3, seed) for seed in (5, 5, 6))
    reference = first.reset(), run(first, actions)
    np.testing.assert_equal((again.reset(), run(again, actions)), reference)
    other.reset()
    assert not np.array_equal(
        [reward for _, reward, _, _ in run(other, actions)],
        [reward for _, reward, _, _ in reference[1]],
    )

    first.seed(5)
    np.testing.assert_equal((first.reset(), run(first, actions)), reference)


class Wasteful(BernoulliBandit):
    """A bandit that draws more noise for some arms."""

    def step(self, params: Any, state: None, action: Any, rng: Rng) -> Any:
        rng.random(action.sum())
        return super().step(params, state, action, rng)


def test_tasks_of_a_seed_do_not_depend_on_actions() -> None:
    tasks, drawn = Wasteful(4), []
    for arm in (0, 3):
        trials = make(tasks, 3, episodes=5, seed=2)
        trials.reset()
        met = [trials._params]
        for _ in range(4):
            run(trials, np.full((5, 3), arm))
            met.append(trials._params)
        drawn.append(met)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert len(np.unique(drawn[0])) == 5 * 3 * 4


@pytest.mark.parametrize("tasks", [BernoulliBandit(3), RaggedTasks(), Context()])
def test_state_in_the_middle_of_trials_goes_on_identically(tasks: BatchedTasks[Any, Any]) -> None:
    actions = np.random.default_rng(0).integers(0, 3, (30, 4))
    trials = make(tasks, 4, 3, seed=1)
    trials.reset()
    run(trials, actions[:10])
    (state,) = trials.env_method("get_state")
    expected = run(trials, actions[10:])

    resumed = make(tasks, 4, 3, seed=99)
    for column in range(4):  # as for environments in processes of their own
        resumed.env_method("set_state", state, indices=[column])
    np.testing.assert_equal(run(resumed, actions[10:]), expected)
    resumed.set_state(state)  # unharmed by what came after it
    np.testing.assert_equal(run(resumed, actions[10:]), expected)


def test_errors_name_the_trial_and_the_step_after_the_state_was_taken_up() -> None:
    trials = make(Levers(), 2, episodes=2, seed=1)
    trials.reset()
    run(trials, np.zeros((7, 2), np.int64))  # three trials of two steps, and a step
    resumed = make(Levers(), 2, episodes=2)
    resumed.set_state(trials.get_state())
    assert resumed._trial.tolist() == trials._trial.tolist() == [3, 3]
    assert resumed._step.tolist() == trials._step.tolist() == [1, 1]
    earlier = {k: v for k, v in trials.get_state().items() if k not in ("trial", "step")}
    resumed.set_state(earlier)  # of an earlier version's checkpoint
    assert resumed._trial.tolist() == [0, 0]


def test_state_before_the_first_reset() -> None:
    trials, twin = make(RaggedTasks(), 2, 2, seed=1), make(RaggedTasks(), 2, 2)
    twin.set_state(trials.get_state())
    np.testing.assert_equal(twin.reset(), trials.reset())


def test_state_of_other_columns_is_refused() -> None:
    trials = make(RaggedTasks(), 2, 2)
    trials.reset()
    with pytest.raises(ValueError, match="state of n_envs=2 trials does not fit n_envs=3"):
        make(RaggedTasks(), 3, 2).set_state(trials.get_state())


@pytest.mark.parametrize(("n_envs", "episodes"), [(0, 1), (1, 0)])
def test_no_columns_or_no_episodes(n_envs: int, episodes: int) -> None:
    with pytest.raises(ValueError, match=f"n_envs={n_envs}, episodes={episodes}: both must be"):
        make(Levers(), n_envs, episodes)
