"""How many steps a rollout and a minibatch have."""

import pytest
from stable_baselines3.common.vec_env import VecNormalize

from rl2_sb3.trials import BatchedTrials, make_trials
from rl2_sb3.trials.sizes import rollout_size
from tests.envs import GoalEnv, RaggedTasks


@pytest.mark.parametrize(
    ("n_envs", "columns"),
    [(1, 1), (2, 1), (7, 2), (8, 2), (16, 4), (25, 7), (500, 125), (509, 128)],
)
def test_minibatches_are_a_quarter_of_the_columns(n_envs: int, columns: int) -> None:
    trials = make_trials("bandit", n_envs, episodes=11)
    assert rollout_size(trials, None, None) == (11, 11 * columns)
    assert rollout_size(trials, 33, None) == (33, 33 * columns)


def test_rollout_is_a_trial_or_so_many_steps() -> None:
    assert rollout_size(make_trials("bandit", 4, episodes=11), None, 22) == (11, 22)
    assert rollout_size(BatchedTrials(RaggedTasks(), 4, 2), None, None) == (512, 512)
    assert rollout_size(BatchedTrials(RaggedTasks(), 40, 2), None, None) == (128, 128 * 10)
    assert rollout_size(make_trials(GoalEnv, 4), None, None) == (512, 512)
    assert rollout_size(None, None, None) == (2048, 2048)
    assert rollout_size(make_trials("bandit", 4, episodes=1), None, None) == (1, 2)
    normalised = VecNormalize(make_trials("bandit", 4, episodes=11), norm_obs=False)
    assert rollout_size(normalised, None, None) == (11, 11)


def test_a_minibatch_has_two_steps_at_least() -> None:
    with pytest.raises(ValueError, match="two steps at least"):
        rollout_size(make_trials("bandit", 4, episodes=1), None, 1)
    with pytest.raises(ValueError, match="two steps at least"):
        rollout_size(make_trials("bandit", 1, episodes=1), None, None)


@pytest.mark.parametrize(
    ("n_steps", "batch_size", "message"),
    [
        (10, 25, "batch_size=25 cuts trials: use a multiple of n_steps=10"),
        (10, 5, "batch_size=5 cuts trials: use a multiple of n_steps=10"),
        (None, 10, "batch_size=10 cuts trials: use a multiple of n_steps=11"),
        (10, 0, "batch_size=0 cuts trials"),
        (0, None, "n_steps=0: at least 1"),
        (-1, 1, "n_steps=-1: at least 1"),
    ],
)
def test_minibatches_that_cut_columns(
    n_steps: int | None, batch_size: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rollout_size(make_trials("bandit", 4, episodes=11), n_steps, batch_size)
