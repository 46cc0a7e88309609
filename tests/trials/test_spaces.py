from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rl2_sb3.trials import trial_space
from rl2_sb3.trials.spaces import flatten, is_trial_space, no_action
from tests.envs import vector

Space = spaces.Space[Any]


def test_space_holds_observation_and_feedback() -> None:
    space = trial_space(vector(2), spaces.Discrete(3))

    assert space == spaces.Dict(
        {
            "observation": vector(2),
            "action": spaces.Discrete(3),
            "reward": spaces.Box(-np.inf, np.inf, (1,), np.float32),
            "done": spaces.MultiBinary(1),
            "start": spaces.MultiBinary(1),
        }
    )
    assert is_trial_space(space)
    assert not is_trial_space(space["observation"])
    assert not is_trial_space(spaces.Dict({"observation": vector(2), "reward": vector(1)}))


def test_parts_of_a_dict_are_named_apart_from_the_feedback() -> None:
    own = spaces.Dict({"reward": vector(2), "start": spaces.Discrete(2)})
    space = trial_space(own, spaces.Discrete(3))

    assert space["observation_reward"] == vector(2)
    assert space["observation_start"] == spaces.Discrete(2)
    assert space["reward"].shape == (1,)
    named = {"observation_reward": 1, "observation_start": 0}
    assert flatten({"reward": 1, "start": 0}, space) == named


def test_parts_of_a_tuple_are_numbered() -> None:
    own = spaces.Tuple([vector(2), spaces.Discrete(2)])
    space = trial_space(own, spaces.Discrete(3))
    assert space["observation_0"] == vector(2)
    assert space["observation_1"] == spaces.Discrete(2)
    assert flatten((5, 6), space) == {"observation_0": 5, "observation_1": 6}

    array = trial_space(vector(2), spaces.Discrete(3))
    assert flatten((5.0, 6.0), array) == {"observation": (5.0, 6.0)}  # an array, as a tuple


def test_parts_within_parts_are_named_by_their_path() -> None:
    hands = spaces.Tuple([spaces.Dict({"grip": vector(1)}), vector(2)])
    space = trial_space(spaces.Dict({"hands": hands, "eye": vector(3)}), spaces.Discrete(3))
    own = {"hands": ({"grip": [1.0]}, (2.0, 3.0)), "eye": [4.0, 5.0, 6.0]}
    named = {
        "observation_hands_0_grip": [1.0],
        "observation_hands_1": (2.0, 3.0),  # an array, as a tuple
        "observation_eye": [4.0, 5.0, 6.0],
    }
    assert flatten(own, space) == named
    assert [key for key in space if key.startswith("observation")] == sorted(named)


@pytest.mark.parametrize(
    ("space", "nothing"),
    [
        (spaces.Discrete(3), np.array(0, np.int64)),
        (spaces.MultiDiscrete([2, 3]), np.array([0, 0], np.int64)),
        (spaces.MultiBinary(3), np.array([0, 0, 0], np.int8)),
        (vector(2), np.array([0, 0], np.float32)),
        (spaces.Box(0.5, 1, (2,), np.float64), np.array([0.5, 0.5])),
        (
            spaces.Box(np.array([-3, -2]), np.array([-1, 2]), dtype=np.int16),
            np.array([-1, 0], np.int16),
        ),
    ],
)
def test_no_action_is_zero_or_the_nearest_to_it(space: Space, nothing: Any) -> None:
    action = no_action(space)

    np.testing.assert_array_equal(action, nothing)
    assert action.dtype == nothing.dtype
    assert space.contains(action[()])


@pytest.mark.parametrize(
    ("observation_space", "action_space", "message"),
    [
        (vector(1), spaces.Text(3), r"Action space Text.* is not supported: use one of Box, Disc"),
        (vector(1), spaces.Dict({"a": vector(1)}), r"Action space Dict.* is not supported"),
        (vector(1), spaces.Box(0, 5, (2,), np.int64), "the policy's actions are real numbers"),
        (vector(1), spaces.Discrete(3, start=1), "action: Discrete.* shift it to begin with 0"),
        (vector(1), spaces.MultiDiscrete([2, 3], start=[0, 1]), "action: MultiDiscrete.* shift it"),
        (
            vector(1),
            spaces.MultiDiscrete(np.array([[2, 3]])),
            "action: MultiDiscrete.* one dimension",
        ),
        (vector(1), spaces.MultiBinary([2, 3]), "action: MultiBinary.* give it one dimension"),
        (vector(1), spaces.Box(-1, 1, ()), r"action: Box.* give it the shape \(1,\)"),
        (spaces.Box(-1, 1, ()), spaces.Discrete(2), r"observation: Box.* give it the shape \(1,\)"),
        (spaces.Discrete(2, start=-1), spaces.Discrete(2), "observation: Discrete.* begin with 0"),
        (
            spaces.Dict({"inner": spaces.Tuple([spaces.Text(3)])}),
            spaces.Discrete(2),
            "Observation space 'observation_inner_0': Text.* is not supported: flatten it first",
        ),
        (
            spaces.Dict({"a_b": vector(1), "a": spaces.Dict({"b": vector(1)})}),
            spaces.Discrete(2),
            "Two parts of Dict.* would be called 'observation_a_b': rename one",
        ),
        (
            spaces.Dict({"see": vector(1), "action_mask": spaces.MultiBinary(2)}),
            spaces.Discrete(2),
            "The observation's 'action_mask' says which actions are allowed, but .* leave the mask",
        ),
    ],
)
def test_spaces_that_sb3_cannot_handle_are_refused(
    observation_space: Space, action_space: Space, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        trial_space(observation_space, action_space)


def test_matrices_are_supported_but_as_discrete_actions() -> None:
    space = trial_space(spaces.MultiBinary([2, 2]), spaces.Box(-1, 1, (2, 2)))
    assert space["observation"].shape == space["action"].shape == (2, 2)


def test_a_space_without_parts_is_refused() -> None:
    empty: list[Any] = [spaces.Dict({}), spaces.Dict({"a": spaces.Dict({})}), spaces.Tuple([])]
    for nothing in empty:
        with pytest.raises(ValueError, match=r"has no parts: give it one"):
            trial_space(nothing, spaces.Discrete(2))
