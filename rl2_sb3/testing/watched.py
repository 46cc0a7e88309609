"""A batched distribution of which each call is checked: half of check_tasks."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from rl2_sb3.tasks.base import BatchedTasks
from rl2_sb3.tasks.step_info import metric_flaw
from rl2_sb3.trials.spaces import FEEDBACK, flatten, trial_space


class Watched(BatchedTasks[Any, Any]):
    """What another distribution gives, checked for shapes, dtypes, values and side effects.

    :raises AssertionError: in each method, where the other's breaks the contract
    """

    def __init__(self, tasks: BatchedTasks[Any, Any]) -> None:
        self.tasks, self.horizon = tasks, tasks.horizon
        self.observation_space, self.action_space = tasks.observation_space, tasks.action_space
        self._kinds: list[Any] | None = None
        self._known_size: int | None = None

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        params = unmoved(self.tasks.sample, n, rng)
        demand(bool(_rows("sample", params, n)), "sample gives no arrays: reset needs their rows.")
        return params

    def reset(self, params: Any, rng: np.random.Generator) -> Any:
        return self._checked("reset", "state, observation", params, None, None, rng)

    def step(self, params: Any, state: Any, action: NDArray[Any], rng: np.random.Generator) -> Any:
        return self._checked(
            "step", "state, observation, reward, ended", params, state, action, rng
        )

    def metrics(self, params: Any, state: Any) -> Any:
        metrics = self._ask("metrics", params, state)
        demand(
            metrics is None or isinstance(metrics, Mapping),
            f"metrics gives {type(metrics).__name__}: give a dict of arrays by name, or None.",
        )
        n = len(_leaves("sample", params)[0])
        for name, values in (metrics or {}).items():
            flaw = metric_flaw(name, np.asarray(values), (n,))
            demand(flaw is None, f"metrics gives {flaw}")
        return metrics

    def render(self, params: Any, state: Any) -> Any:
        picture = self._ask("render", params, state)
        demand(
            picture is None
            or (
                isinstance(picture, np.ndarray)
                and picture.dtype == np.uint8
                and picture.ndim == 3
                and picture.shape[2] == 3
                and picture.size > 0
            ),
            f"render gives {getattr(picture, 'dtype', type(picture).__name__)} "
            f"{np.shape(picture)}: give uint8 (height, width, 3), or None.",
        )
        return picture

    def privileged_observation(self, params: Any, state: Any) -> Any:
        numbers = self._ask("privileged_observation", params, state)
        if numbers is not None:
            if self._known_size is None:
                self._known_size = np.shape(numbers)[1] if np.ndim(numbers) == 2 else 1
            shape = len(_leaves("sample", params)[0]), self._known_size
            _check_numbers("privileged_observation", numbers, shape)
        return numbers

    def training_reward(self, params: Any, state: Any, action: NDArray[Any]) -> Any:
        numbers = self._ask("training_reward", params, state, action)
        if numbers is not None:
            _check_numbers("training_reward", numbers, (len(_leaves("sample", params)[0]),))
        return numbers

    def _ask(self, name: str, *args: Any) -> Any:
        kept = deepcopy(args)
        numbers = unmoved(getattr(self.tasks, name), *args)
        demand(same(args, kept), f"{name} changes params, state or actions: copy them first.")
        return numbers

    def _checked(
        self, name: str, names: str, params: Any, state: Any, action: Any, rng: np.random.Generator
    ) -> Any:
        n = len(_leaves(name, params)[0])
        kept = deepcopy((params, action))
        args = (params, rng) if action is None else (params, state, action, rng)
        result = unmoved(getattr(self.tasks, name), *args)
        demand(same((params, action), kept), f"{name} changes params or actions: copy them first.")
        demand(
            isinstance(result, tuple) and len(result) == len(names.split()),
            f"{name} gives {type(result).__name__}: return the tuple ({names}).",
        )
        kinds = [(array.dtype, array.shape[1:]) for array in _rows(name, result[0], n)]
        self._kinds = kinds if self._kinds is None else self._kinds
        demand(
            kinds == self._kinds,
            f"{name} gives a state of (dtype, shape) {kinds}, not {self._kinds} as before: keep "
            "to one, since rows of one state are put into another.",
        )
        self._check_observation(name, result[1], n)
        if action is not None:
            _check_numbers("step's reward", result[2], (n,))
            _check_array("step's ended", result[3], (n,), np.dtype(np.bool_))
        return result

    def _check_observation(self, name: str, observation: Any, n: int) -> None:
        space = trial_space(self.observation_space, self.action_space)
        parts = {key: part for key, part in space.items() if key not in FEEDBACK}
        handed_in = flatten(observation, space)
        if handed_in.keys() != parts.keys():
            keys = [key.removeprefix("observation_") for key in parts]
            demand(False, f"{name}'s observation must be a dict with the keys {', '.join(keys)}.")
        for key, part in parts.items():
            array = handed_in[key]
            _check_array(f"{name}'s {key}", array, (n, *(part.shape or ())), np.dtype(part.dtype))
            array = array.astype(part.dtype)
            if not batch_space(part, n).contains(array):
                outside = next(row for row in array if not part.contains(row))
                demand(False, f"{name}'s {key} {outside} is not in {part}: widen that space.")


def demand(holds: bool, message: str) -> None:
    """Raise an AssertionError, under ``python -O`` too."""
    if not holds:
        raise AssertionError(message)


def unmoved(method: Callable[..., Any], *args: Any) -> Any:
    """Call a method that must not draw from the global generators."""
    before = _global_generators()
    result = method(*args)
    demand(
        _global_generators() == before,
        f"{method.__name__} draws from a global random generator: draw from rng only.",
    )
    return result


def same(tree: Any, other: Any) -> bool:
    """Whether two trees of arrays hold the same bits."""
    pairs = _leaves("tree", tree), _leaves("tree", other)
    return len(pairs[0]) == len(pairs[1]) and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        for a, b in zip(*pairs, strict=True)
    )


def _global_generators() -> bytes:
    return pickle.dumps((np.random.get_state(), random.getstate()))  # noqa: NPY002


def _rows(name: str, tree: Any, n: int) -> list[NDArray[Any]]:
    arrays = _leaves(name, tree)
    for array in arrays:
        demand(
            array.shape[:1] == (n,),
            f"{name} gives an array of shape {array.shape} for {n} tasks: axis 0 is the task.",
        )
    return arrays


def _leaves(name: str, tree: Any) -> list[NDArray[Any]]:
    def walk(tree: Any) -> Iterator[NDArray[Any]]:
        if isinstance(tree, (dict, tuple)):
            for part in tree.values() if isinstance(tree, dict) else tree:
                yield from walk(part)
        elif tree is not None:
            demand(
                isinstance(tree, np.ndarray) and tree.dtype != object,
                f"{name} gives {type(tree).__name__}: params and states are arrays of numbers with "
                "axis 0 the task, or (named) tuples or dicts of such arrays.",
            )
            yield tree

    return list(walk(tree))


def _check_numbers(what: str, array: Any, shape: tuple[int, ...]) -> None:
    _check_array(what, array, shape, np.dtype(np.float64))
    demand(bool(np.isfinite(array).all()), f"{what} is not finite: give a number.")


def _check_array(what: str, array: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    demand(
        isinstance(array, np.ndarray)
        and array.shape == shape
        and np.can_cast(array.dtype, dtype, "same_kind")
        and (array.dtype.kind == dtype.kind or dtype.kind != "f"),
        f"{what} must be an array of shape {shape} and dtype {dtype}, not "
        f"{getattr(array, 'dtype', type(array).__name__)} {np.shape(array)}.",
    )
