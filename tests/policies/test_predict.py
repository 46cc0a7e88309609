"""What a policy predicts, with SB3's predict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray

from tests.memories.counting import count_steps
from tests.policies.test_policies import ACTIONS, make_policy, observations


@pytest.mark.usefixtures("recurrence")
@pytest.mark.parametrize("action", ACTIONS)
def test_predict_agrees_with_act(action: str) -> None:
    policy = make_policy(action=ACTIONS[action])
    memory, state = policy.initial_memory(2), None
    bounds = ACTIONS[action]
    for t in range(4):
        obs = observations(policy, rows=2, seed=t)
        starts = np.array([False, t == 2])
        tensors = {key: th.as_tensor(value) for key, value in obs.items()}
        tensors["start"] = th.as_tensor(starts)[:, None]
        with th.no_grad():
            acted = policy.act({**tensors, "memory": memory}, deterministic=True)
        memory = acted.memory

        actions, state = policy.predict(obs, state, starts, deterministic=True)

        expected = acted.actions.numpy()
        if isinstance(bounds, spaces.Box):
            expected = np.clip(expected, bounds.low, bounds.high)
        np.testing.assert_array_equal(actions, expected)
        assert state is not None
        ours = slice(policy.layout.policy)  # of the value network nothing is computed
        np.testing.assert_array_equal(state[0][:, ours], memory[:, ours].numpy())
        assert all(bounds.contains(row) for row in actions.astype(bounds.dtype))


@pytest.mark.usefixtures("recurrence")
def test_predict_takes_one_observation_or_many() -> None:
    policy = make_policy(action=ACTIONS["multi-discrete"])
    alone, together = None, None
    for t in range(3):
        obs = observations(policy, rows=2, seed=t)
        actions, together = policy.predict(obs, together, deterministic=True)
        one = {key: value[0] for key, value in obs.items()}
        action, alone = policy.predict(one, alone, deterministic=True)
        assert action.shape == (2,)
        np.testing.assert_array_equal(action, actions[0])
    assert alone is not None
    assert together is not None
    np.testing.assert_allclose(alone[0], together[0][:1], atol=1e-6)


@pytest.mark.parametrize("episode_start", [None, np.zeros(2, bool)])
def test_predict_resets_where_the_observation_says_start(
    episode_start: NDArray[np.bool_] | None,
) -> None:
    policy = make_policy()
    count_steps(policy)
    obs = observations(policy, rows=2)
    obs["start"][1] = 1

    state: Any = (np.full((2, policy.memory_size), 3, np.float32),)
    _, state = policy.predict(obs, state, episode_start)

    np.testing.assert_array_equal(state[0][:, 0], [4, 1])


def test_predict_refuses_what_is_not_of_these_trials() -> None:
    policy = make_policy()
    obs = observations(policy, rows=2)
    state = (np.zeros((4, policy.memory_size), np.float32),)
    with pytest.raises(ValueError, match=r"4 rows.*2 observations"):
        policy.predict(obs, state)
    with pytest.raises(ValueError, match="TrialWrapper"):
        policy.predict(obs["observation"])
