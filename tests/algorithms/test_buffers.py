from __future__ import annotations

import numpy as np
import pytest
import torch as th

from rl2_sb3.algorithms import RL2PPO
from rl2_sb3.algorithms.buffers import TrialRolloutBuffer
from rl2_sb3.tasks import BernoulliBandit
from rl2_sb3.trials import BatchedTrials, trial_space
from tests.algorithms.collecting import Clockwork, collect
from tests.memories.counting import count_steps

STEPS, COLUMNS = 3, 5


def counting_model(n_steps: int, value_lambda: float | None = None) -> RL2PPO:
    """Two trials at once of two episodes of two steps; a step's value is its number in them."""
    model = RL2PPO(
        "GRUPolicy",
        BatchedTrials(Clockwork(), n_envs=2, episodes=2),
        n_steps=n_steps,
        gamma=0.5,
        gae_lambda=0.5,
        value_lambda=value_lambda,
        policy_kwargs={"hidden_size": 2},
    )
    count_steps(model.policy)
    with th.no_grad():
        # The network's own unit is twice the reward's, and its zero is at 3.
        model.policy.value_scale.fill_(2)
        model.policy.value_shift.fill_(3)
        model.policy.value_net.weight.copy_(th.tensor([[0.5, 0]]))
        model.policy.value_net.bias.fill_(-1.5)
    return model


def test_advantages_run_through_episodes_and_stop_at_trials() -> None:
    buffer = collect(counting_model(n_steps=5))

    assert buffer.rewards[:, 0].tolist() == [0, 1, 0, 1, 0]
    assert buffer.values[:, 0].tolist() == [1, 2, 3, 4, 1]
    # delta = r + 0.5 v' - v: 0 + 1 - 1, 1 + 1.5 - 2 through the first episode's end, 0 + 2 - 3,
    # 1 - 4 at the trial's end, and 0 + 1 - 1 with the value 2 of the step after the block.
    # A = delta + 0.25 A', and -3 is the trial's last.
    advantages = [0.015625, 0.0625, -1.75, -3, 0]
    for column in (0, 1):
        np.testing.assert_allclose(buffer.advantages[:, column], advantages, atol=1e-6)
        np.testing.assert_allclose(
            buffer.returns[:, column], np.add(advantages, [1, 2, 3, 4, 1]), atol=1e-6
        )


def test_the_value_may_learn_from_whole_returns() -> None:
    buffer = collect(counting_model(n_steps=5, value_lambda=1))

    np.testing.assert_allclose(buffer.advantages[:, 0], [0.015625, 0.0625, -1.75, -3, 0], atol=1e-6)
    # Rewards 0, 1, 0, 1 discounted by 0.5; after the trial's end 0 + 0.5 * 2, of the next step.
    np.testing.assert_allclose(buffer.returns[:, 0], [0.625, 1.25, 0.5, 1, 1], atol=1e-6)


def test_the_next_blocks_advantages_keep_their_lambda() -> None:
    one, other = (collect(counting_model(5, value_lambda), 2) for value_lambda in (None, 1))

    np.testing.assert_allclose(other.advantages, one.advantages, atol=1e-5)
    assert np.abs(other.returns - one.returns).max() > 0.1


def test_a_trial_goes_on_in_the_next_block() -> None:
    model = counting_model(n_steps=5)
    collect(model)
    buffer = collect(model)

    assert (buffer.memory == 1).all()  # one step of the second trial is done
    np.testing.assert_allclose(buffer.values[:, 0], [2, 3, 4, 1, 2], atol=1e-5)
    assert buffer.rewards[:, 0].tolist() == [1, 0, 1, 0, 1]
    assert buffer.observations["start"][:, 0, 0].tolist() == [0, 0, 0, 1, 0]


def test_a_block_that_ends_with_its_trials_is_not_bootstrapped() -> None:
    buffer = collect(counting_model(n_steps=4))

    np.testing.assert_allclose(buffer.advantages[-1], [-3, -3], atol=1e-6)


def test_minibatches_are_in_the_networks_units() -> None:
    model = counting_model(n_steps=5)
    buffer = collect(model)
    scale, shift = float(model.policy.value_scale), float(model.policy.value_shift)
    assert scale < 2  # it has followed the returns
    batch = buffer.columns(np.array([1]))

    np.testing.assert_allclose(batch.returns * scale + shift, buffer.returns[:, 1], atol=1e-5)
    np.testing.assert_allclose(batch.old_values * scale + shift, buffer.values[:, 1], atol=1e-5)
    values = model.policy.predict_values(batch.observations).detach().flatten()
    th.testing.assert_close(values, batch.old_values)


def numbered_buffer(columns: int = COLUMNS) -> TrialRolloutBuffer:
    """Every number of the buffer is 100 * step + column."""
    tasks = BernoulliBandit()
    space = trial_space(tasks.observation_space, tasks.action_space)
    buffer = TrialRolloutBuffer(STEPS, space, tasks.action_space, "cpu", n_envs=columns)
    buffer.memory = th.arange(columns).float()[:, None]
    for step in range(STEPS):
        number = 100 * step + np.arange(columns)
        obs = {key: number.reshape(-1, *buffer.obs_shape[key]) for key in space}
        buffer.add(obs, number, number, number, th.as_tensor(number), th.as_tensor(number))
    buffer.advantages[:] = buffer.returns[:] = buffer.values
    return buffer


def test_a_minibatch_is_whole_columns_time_major() -> None:
    batch = numbered_buffer().columns(np.array([3, 1]))

    rows = th.tensor([3, 1, 103, 101, 203, 201])
    for part in (*batch[1:], batch.observations["observation"], batch.observations["reward"]):
        assert part.dtype in (th.float32, th.int64)
        assert (part.flatten() == rows).all()
    assert batch.observations["memory"].flatten().tolist() == [3, 1]


@pytest.mark.parametrize(
    ("columns", "most", "sizes"),
    [(5, 2, [2, 2, 1]), (500, 62, [56] * 5 + [55] * 4), (5, 9, [5]), (6, 3, [3, 3])],
)
def test_minibatches_share_out_the_columns(columns: int, most: int, sizes: list[int]) -> None:
    buffer = numbered_buffer(columns)
    th.manual_seed(0)

    epochs = []
    for _ in range(2):
        batches = list(buffer.get(most * STEPS))
        assert [len(batch.observations["memory"]) for batch in batches] == sizes
        epochs.append([int(c) for b in batches for c in b.observations["memory"]])

    for epoch in epochs:
        assert sorted(epoch) == list(range(columns))
    assert epochs[0] != epochs[1]


def test_the_whole_block_keeps_its_order() -> None:
    (batch,) = numbered_buffer().get(None)

    assert batch.returns[: COLUMNS + 1].tolist() == [0, 1, 2, 3, 4, 100]
