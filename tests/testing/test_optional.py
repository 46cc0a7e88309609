"""check_tasks on what a distribution may leave out: pictures, metrics, nested observations."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rl2_sb3.testing import check_tasks
from tests.envs import RaggedTasks, vector


class Whole(RaggedTasks):
    """All of it, as it should be."""

    def __init__(self) -> None:
        super().__init__()
        own = self.observation_space
        self.observation_space = spaces.Dict({"own": own, "both": spaces.Tuple([vector(1), own])})

    def reset(self, params: Any, rng: np.random.Generator) -> Any:
        state, own = super().reset(params, rng)
        return state, self._nested(own)

    def step(self, params: Any, state: Any, action: Any, rng: np.random.Generator) -> Any:
        state, own, *others = super().step(params, state, action, rng)
        return state, self._nested(own), *others

    @staticmethod
    def _nested(own: Any) -> Any:
        return {"own": own, "both": (np.zeros((len(own["left"]), 1), np.float32), own)}

    def metrics(self, params: Any, state: Any) -> Any:
        return {"place": state.place, "success": state.place > 0}

    def render(self, params: Any, state: Any) -> Any:
        return np.full((2, 3, 3), state.left[0], np.uint8)


def test_it_may_be_there() -> None:
    check_tasks(Whole())


class ListedMetrics(Whole):
    def metrics(self, params: Any, state: Any) -> Any:
        return [state.place]


class LongMetrics(Whole):
    def metrics(self, params: Any, state: Any) -> Any:
        return {"place": np.append(state.place, 0)}


class ChangingMetrics(Whole):
    def metrics(self, params: Any, state: Any) -> Any:
        state.place[:] = 0
        return {"place": state.place}


class FloatPicture(Whole):
    def render(self, params: Any, state: Any) -> Any:
        return np.zeros((2, 3, 3))


class GreyPicture(Whole):
    def render(self, params: Any, state: Any) -> Any:
        return np.zeros((2, 3), np.uint8)


class FlatObservation(Whole):
    @staticmethod
    def _nested(own: Any) -> Any:
        return own


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (ListedMetrics(), "metrics gives list: give a dict of arrays by name, or None"),
        (LongMetrics(), r"metrics gives 'place' of shape \(65,\): give .* of shape \(64,\)"),
        (ChangingMetrics(), "metrics changes params, state or actions: copy them first"),
        (FloatPicture(), r"render gives float64 \(2, 3, 3\): give uint8 \(height, width, 3\)"),
        (GreyPicture(), r"render gives uint8 \(2, 3\): give uint8 \(height, width, 3\)"),
        (FlatObservation(), r"observation must be a dict with the keys .*both_1_place"),
    ],
)
def test_what_breaks_the_contract(broken: Whole, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_tasks(broken)
