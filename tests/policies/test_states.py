from __future__ import annotations

import torch as th

from rl2_sb3.policies.states import StateLayout


def test_parts_are_views_of_the_flat_tensor_and_join_to_it() -> None:
    layout = StateLayout(policy=2, value=3, observation=1)
    flat = th.arange(12.0).view(2, 6)

    states = layout.split(flat)

    assert layout.size == 6
    assert states.policy.tolist() == [[0, 1], [6, 7]]
    assert states.value.tolist() == [[2, 3, 4], [8, 9, 10]]
    assert states.observation.tolist() == [[5], [11]]
    assert th.equal(states.join(), flat)
    states.value[th.tensor([1])] = -1.0
    assert flat.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, -1, -1, -1, 11]]


def test_a_shared_network_has_no_part_for_the_value() -> None:
    states = StateLayout(policy=2).split(th.ones(3, 2))
    assert states.value.shape == states.observation.shape == (3, 0)
    assert states.join().shape == (3, 2)
