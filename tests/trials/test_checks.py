"""What a task hands in is looked at: case by case, with the environment, trial and step named."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from numpy.typing import NDArray

from rl2_sb3 import RL2PPO, BatchedTasks, make_trials
from rl2_sb3.tasks.step_info import read_step_info
from rl2_sb3.trials import BatchedTrials, TrialWrapper
from rl2_sb3.trials.checks import LOOKED_AT, FlawError, Warned, check_observation
from tests.envs import SmallEnv, vector


class Handed(BatchedTasks[NDArray[Any], NDArray[np.int64]]):
    """Episodes of two and of four steps, in turn; in step ``at`` one part is ``spoiled``."""

    def __init__(
        self, spoil: Callable[[Any, Any, Any], Any] = lambda *parts: parts, at: int = 1
    ) -> None:
        self.observation_space: spaces.Space[Any] = vector(2)
        self.action_space: spaces.Space[Any] = spaces.Discrete(2)
        self.spoil, self.at, self.taken = spoil, at, 0

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[Any]:
        return np.arange(n) % 2

    def reset(self, params: NDArray[Any], rng: np.random.Generator) -> Any:
        return np.zeros(len(params), np.int64), self.observation(len(params))

    def step(self, params: Any, state: Any, action: Any, rng: np.random.Generator) -> Any:
        self.taken += 1
        state = state + 1
        parts = self.observation(len(state)), np.ones(len(state)), state == 2 + 2 * params
        own, reward, ended = self.spoil(*parts) if self.taken == self.at else parts
        return state, own, reward, ended

    def observation(self, n: int) -> Any:
        return np.zeros((n, 2), np.float32)


class Bytes(Handed):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.observation_space = spaces.Box(0, 255, (2,), np.uint8)

    def observation(self, n: int) -> Any:
        return np.zeros((n, 2), np.int64)


class Rooms(Handed):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.observation_space = spaces.Discrete(3)

    def observation(self, n: int) -> Any:
        return np.zeros(n, np.int64)


def put(array: Any, column: int, value: Any) -> Any:
    array = np.array(array, np.result_type(array, np.asarray(value)))
    array[column] = value
    return array


NAN, INF = float("nan"), float("inf")
FLAWS: dict[str, tuple[Any, str]] = {
    "NaN in an observation": (
        Handed(lambda o, r, e: (put(o, 1, NAN), r, e), at=2),
        "Environment 1 of Handed, in trial 0, step 2, hands in observation nan, not a finite",
    ),
    "in a later trial": (
        Handed(lambda o, r, e: (put(o, 0, INF), r, e), at=6),
        "Environment 0 of Handed, in trial 1, step 2, hands in observation inf",
    ),
    "beyond single precision": (
        Handed(lambda o, r, e: (put(o.astype(float), 1, 1e300), r, e)),
        "observation 1e+300, not a finite number",
    ),
    "NaN for a reward": (
        Handed(lambda o, r, e: (o, put(r, 2, NAN), e)),
        "Environment 2 of Handed, in trial 0, step 1, hands in a reward of nan",
    ),
    "an infinite reward, late": (
        Handed(lambda o, r, e: (o, put(r, 0, -INF), e), at=LOOKED_AT + 10),
        "Environment 0 of Handed, in trial 27, step 2, hands in a reward of -inf",
    ),
    "a reward too large": (Handed(lambda o, r, e: (o, put(r, 0, 1e39), e)), "a reward of 1e+39"),
    "rewards in a column": (
        Handed(lambda o, r, e: (o, r[:, None], e)),
        "rewards of shape (3, 1), not (3,)",
    ),
    "one reward for all": (Handed(lambda o, r, e: (o, 1.0, e)), "rewards of shape ()"),
    "rewards in words": (Handed(lambda o, r, e: (o, np.array(["1"] * 3), e)), "a reward of type"),
    "an observation for all": (
        Handed(lambda o, r, e: (o[:1], r, e)),
        "observation of length 1, not 3, one for each environment",
    ),
    "an observation of another shape": (
        Handed(lambda o, r, e: (o[:, :1], r, e)),
        "observation of shape (1,), not (2,) as in Box(-1.0, 1.0, (2,), float32)",
    ),
    "the same, late": (Handed(lambda o, r, e: (o[:, :1], r, e), at=150), "observation of shape"),
    "a number that does not fit": (
        Bytes(spoil=lambda o, r, e: (put(o, 1, 300), r, e)),
        "Environment 1 of Bytes, in trial 0, step 1, hands in observation 300, which is not in",
    ),
    "the same number, late": (Bytes(spoil=lambda o, r, e: (put(o, 1, 300), r, e), at=150), "300"),
    "floats for bytes": (
        Bytes(spoil=lambda o, r, e: (o + 0.5, r, e)),
        "observation of type float64, not uint8",
    ),
    "no such class": (Rooms(spoil=lambda o, r, e: (put(o, 2, 3), r, e)), "observation 3, which is"),
    "no class at all": (Rooms(spoil=lambda o, r, e: (put(o, 2, -1), r, e)), "observation -1"),
    "ends that are none": (
        Handed(lambda o, r, e: (o, r, put(e.astype(int), 1, 2))),
        "Environment 1 of Handed, in trial 0, step 1, hands in an episode's end",
    ),
    "ends of another shape": (Handed(lambda o, r, e: (o, r, e.any())), "ends of episodes of shape"),
}


def many_steps(trials: Any, action: Any) -> None:
    for _ in range(200):
        _, _, over, *_ = trials.step(action)
        if over is True:  # of one environment, which is not reset by itself
            trials.reset()


@pytest.mark.parametrize(("tasks", "message"), FLAWS.values(), ids=FLAWS.keys())
def test_flaws_of_batched_tasks(tasks: Handed, message: str) -> None:
    tasks.taken = 0
    trials = BatchedTrials(tasks, 3, episodes=2, seed=0)
    trials.reset()
    with pytest.raises(RuntimeError, match=re.escape(message)):
        many_steps(trials, np.zeros(3, np.int64))


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float32, np.bool_])
def test_ends_as_numbers(kind: type[Any]) -> None:
    trials = BatchedTrials(EndsAs(kind), 2, episodes=2, seed=0)
    trials.reset()
    lengths: list[list[int]] = [[], []]
    elapsed = np.zeros(2, np.int64)
    for _ in range(16):
        done = trials.step(np.zeros(2, np.int64))[2]
        elapsed += 1
        for column in np.flatnonzero(done):
            lengths[column].append(int(elapsed[column]))
            elapsed[column] = 0
    assert lengths == [[4, 4, 4, 4], [8, 8]]


class EndsAs(Handed):
    def __init__(self, kind: type[Any]) -> None:
        super().__init__()
        self.kind = kind

    def step(self, *arguments: Any) -> Any:
        *parts, ended = super().step(*arguments)
        return *parts, ended.astype(self.kind)


class HandedEnv(SmallEnv):
    """``spoil`` gets what step ``at`` would give."""

    def __init__(
        self,
        spoil: Callable[..., Any],
        at: int = 2,
        space: spaces.Space[Any] | None = None,
        length: int = 3,
    ) -> None:
        super().__init__(vector(2) if space is None else space, spaces.Discrete(2), length)
        self.spoil, self.at, self.taken = spoil, at, 0

    def step(self, action: Any) -> Any:
        self.taken += 1
        given = super().step(action)
        return (*self.spoil(*given[:4]), given[4]) if self.taken == self.at else given


GYM_FLAWS: dict[str, tuple[Callable[[], HandedEnv], str]] = {
    "NaN in an observation": (
        lambda: HandedEnv(lambda o, r, t, c: (o * NAN, r, t, c)),
        "Environment 1 (<HandedEnv instance>), in trial 0, step 2, hands in observation nan",
    ),
    "in a later trial": (
        lambda: HandedEnv(lambda o, r, t, c: (o * NAN, r, t, c), at=11),
        "Environment 1 (<HandedEnv instance>), in trial 1, step 5, hands in observation nan",
    ),
    "another shape": (
        lambda: HandedEnv(lambda o, r, t, c: (o[:1], r, t, c)),
        "observation of shape (1,), not (2,)",
    ),
    "another shape, late": (
        lambda: HandedEnv(lambda o, r, t, c: (o[:1], r, t, c), at=LOOKED_AT + 90),
        "observation of shape (1,), not (2,)",
    ),
    "a number that does not fit": (
        lambda: HandedEnv(
            lambda o, r, t, c: (np.array([300, 0]), r, t, c),
            space=spaces.Box(0, 255, (2,), np.uint8),
        ),
        "observation 300, which is not in Box(0, 255, (2,), uint8)",
    ),
    "no such class": (
        lambda: HandedEnv(lambda o, r, t, c: (3, r, t, c), space=spaces.Discrete(3)),
        "observation 3, which is not in Discrete(3)",
    ),
    "words": (
        lambda: HandedEnv(lambda o, r, t, c: (["a", "b"], r, t, c)),
        "observation of type <U1, not float32",
    ),
    "NaN for a reward, late": (
        lambda: HandedEnv(lambda o, r, t, c: (o, NAN, t, c), at=LOOKED_AT + 90),
        "hands in a reward of nan, not a finite number",
    ),
    "no reward": (lambda: HandedEnv(lambda o, r, t, c: (o, None, t, c)), "a reward of type object"),
    "two rewards": (
        lambda: HandedEnv(lambda o, r, t, c: (o, np.ones(2), t, c)),
        "a reward of shape (2,), not one number",
    ),
    "an end in words": (
        lambda: HandedEnv(lambda o, r, t, c: (o, r, "False", c)),
        "an episode's end",
    ),
    "no end": (lambda: HandedEnv(lambda o, r, t, c: (o, r, t, None)), "an episode's end None"),
}


@pytest.mark.parametrize(("make", "message"), GYM_FLAWS.values(), ids=GYM_FLAWS.keys())
def test_flaws_of_environments(make: Callable[[], HandedEnv], message: str) -> None:
    trial = TrialWrapper(make(), episodes=2)
    trial.number = 1
    trial.reset(seed=0)
    with pytest.raises(RuntimeError, match=re.escape(message)):
        many_steps(trial, 0)


GIVEN: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "Gym's step": ("step", lambda given: given[:4], "not (observation, reward, terminated, trunc"),
    "no step": ("step", lambda _: None, "None, not (observation, reward, terminated"),
    "no info": ("step", lambda given: (*given[:4], None), "not (observation, reward, terminated"),
    "Gym's reset": ("reset", lambda given: given[0], "not (observation, info)"),
    "no info of a reset": ("reset", lambda given: (given[0], 3), "not (observation, info)"),
}


@pytest.mark.parametrize(("method", "change", "message"), GIVEN.values(), ids=GIVEN.keys())
def test_resets_and_steps_have_their_parts(
    method: str, change: Callable[[Any], Any], message: str
) -> None:
    env: Any = SmallEnv(vector(2), spaces.Discrete(2), length=3)
    whole = getattr(env, method)
    setattr(env, method, lambda *args, **options: change(whole(*args, **options)))
    trial = TrialWrapper(env, episodes=2)
    where = f"in trial 0, step {int(method == 'step')}, hands in"
    with pytest.raises(RuntimeError, match=f"{where} .*{re.escape(message)}"):
        reset_and_step(trial, 0)


def reset_and_step(trials: Any, action: Any) -> None:
    trials.reset()
    trials.step(action)


@pytest.mark.parametrize("method", ["step", "reset"])
@pytest.mark.parametrize(
    "change", [lambda given: given[:-1], lambda _: None, lambda given: given[0]]
)
def test_arrays_have_their_parts(method: str, change: Callable[[Any], Any]) -> None:
    tasks: Any = Handed()
    whole = getattr(tasks, method)
    setattr(tasks, method, lambda *args: change(whole(*args)))
    trials = BatchedTrials(tasks, 2, episodes=2, seed=0)
    names = "(state, observation, reward, ended)" if method == "step" else "(state, observation)"
    message = rf"0 of Handed, in trial 0, step {int(method == 'step')}, .* not {re.escape(names)}"
    with pytest.raises(RuntimeError, match=message):
        reset_and_step(trials, np.zeros(2, np.int64))


def test_later_resets_have_their_parts() -> None:
    tasks: Any = Handed()
    trials = BatchedTrials(tasks, 2, episodes=2, seed=0)
    trials.reset()
    tasks.reset = lambda params, rng: None
    with pytest.raises(RuntimeError, match=r"0 of Handed, .* None, not \(state, observation\)"):
        many_steps(trials, np.zeros(2, np.int64))


def test_parts_that_are_missing_or_too_many() -> None:
    space = {"observation_x": vector(1), "observation_y": vector(1), "action": spaces.Discrete(2)}
    x = np.zeros((3, 1), np.float32)
    check_observation({"observation_x": x, "observation_y": x}, space, 3, values=True)
    with pytest.raises(FlawError, match="an observation without 'observation_y'"):
        check_observation({"observation_x": x}, space, 3, values=False)
    more = {"observation_x": x, "observation_y": x, "observation_z": x}
    with pytest.raises(FlawError, match="an observation with 'observation_z'"):
        check_observation(more, space, 3, values=False)


def test_environments_are_numbered() -> None:
    trials = make_trials(lambda: HandedEnv(lambda *parts: parts), 3, episodes=1)
    assert trials.get_attr("number") == [0, 1, 2]


def test_numbers_out_of_their_bounds_are_told_once() -> None:
    trial = TrialWrapper(HandedEnv(lambda o, r, t, c: (o + 5, r, t, c), length=50), episodes=1)
    trial.reset(seed=0)
    trial.step(0)
    with pytest.warns(Warned, match=r"in trial 0, step 2, hands in observation .* out of the bou"):
        trial.step(0)
    trial.step(0)


def test_usual_types_are_taken() -> None:
    for spoil in (
        lambda o, r, t, c: (o.tolist(), np.float32(r), np.bool_(t), int(c)),
        lambda o, r, t, c: (o.astype(float), np.array([r]), np.array(t), 0.0),
        lambda o, r, t, c: (o > 0, 1, 0, c),
    ):
        trial = TrialWrapper(HandedEnv(spoil), episodes=2)
        trial.reset(seed=0)
        assert [trial.step(0)[2] for _ in range(6)] == [False] * 5 + [True]


@pytest.mark.parametrize("success", ["False", "True", NAN, 2, [True], "yes"])
def test_a_success_is_true_or_false(success: Any) -> None:
    with pytest.raises(RuntimeError, match="is neither true nor false"):
        read_step_info({"rl2": {"success": success}}, declared=True)
    with pytest.raises(RuntimeError, match="is neither true nor false"):
        read_step_info({"rl2": {"lost": success}}, declared=True)
    assert read_step_info({"is_success": success}, declared=True).success is None


@pytest.mark.parametrize("success", [True, np.bool_(True), 1, 1.0, np.array(True)])
def test_truth_values(success: Any) -> None:
    assert read_step_info({"rl2": {"success": success}}, declared=True).success
    assert read_step_info({"is_success": success}, declared=False).success is True


@pytest.mark.parametrize("reward", [NAN, INF, "1", [1.0]])
def test_a_training_reward_is_a_finite_number(reward: Any) -> None:
    with pytest.raises(RuntimeError, match=r"training_reward.* is not a finite number"):
        read_step_info({"rl2": {"training_reward": reward}}, declared=True)


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (NormalizeObservation, "NormalizeObservation changes under the agent.*normalize_observ"),
        (NormalizeReward, "NormalizeReward changes under the agent.*the value network normalises"),
    ],
)
def test_running_statistics_inside_are_refused(wrap: Any, message: str) -> None:
    def make() -> gym.Env[Any, Any]:
        return gym.wrappers.TimeLimit(wrap(SmallEnv(vector(2), spaces.Discrete(2))), 5)

    with pytest.raises(ValueError, match=message):
        RL2PPO("GRUPolicy", make_trials(make, 2))
    frozen = wrap(SmallEnv(vector(2), spaces.Discrete(2)))
    frozen.update_running_mean = False
    TrialWrapper(frozen, 1)
