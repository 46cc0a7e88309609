"""Distributions of arrays, each with one violation of the contract, and what is said of it."""

import random
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3.tasks import BatchedTasks

Floats = NDArray[np.float64]
Rng = np.random.Generator


class Arms(BatchedTasks[Any, Any]):
    """Episodes of two pulls; the observation and the state are the number of pulls so far."""

    horizon: int | None = 2

    def __init__(self) -> None:
        self.observation_space: Any = spaces.Discrete(3)
        self.action_space: Any = spaces.Discrete(2)

    def sample(self, n: int, rng: Rng) -> Any:
        return rng.random((n, 2))

    def reset(self, params: Any, rng: Rng) -> Any:
        state = np.zeros(len(params), np.int64)
        return state, state

    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        state = state + 1
        return state, state, params[np.arange(len(params)), action], state == 2


class NoObservationSpace(Arms):
    def __init__(self) -> None:
        super().__init__()
        del self.observation_space


class TupleActions(Arms):
    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Tuple([spaces.Discrete(2)])


class HorizonZero(Arms):
    horizon = 0


class HorizonTooLong(Arms):
    horizon = 3


class HorizonTooShort(Arms):
    horizon = 1


class UnseededSample(Arms):
    def sample(self, n: int, rng: Rng) -> Any:
        return np.random.default_rng().random((n, 2))


class SeedlessSample(Arms):
    def sample(self, n: int, rng: Rng) -> Any:
        return np.random.default_rng(0).random((n, 2))


class GlobalNumpy(Arms):
    def sample(self, n: int, rng: Rng) -> Any:
        return np.random.random((n, 2))  # noqa: NPY002


class GlobalPython(Arms):
    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        random.random()
        return super().step(params, state, action, rng)


class ListParams(Arms):
    def sample(self, n: int, rng: Rng) -> Any:
        return [rng.random(2) for _ in range(n)]


class ObjectParams(Arms):
    def sample(self, n: int, rng: Rng) -> Any:
        return np.array([{"mean": rng.random()} for _ in range(n)])


class NoParams(Arms):
    def sample(self, n: int, rng: Rng) -> Any:
        return None


class ParamsAcross(Arms):
    def sample(self, n: int, rng: Rng) -> Any:
        return rng.random((2, n))


class ResetsAll(Arms):
    def sample(self, n: int, rng: Rng) -> Any:
        self.n = n
        return super().sample(n, rng)

    def reset(self, params: Any, rng: Rng) -> Any:
        state = np.zeros(self.n, np.int64)
        return state, state


class ResetGivesObservationOnly(Arms):
    def reset(self, params: Any, rng: Rng) -> Any:
        return np.zeros(len(params), np.int64)


class ResetChangesParams(Arms):
    def reset(self, params: Any, rng: Rng) -> Any:
        params += 1
        return super().reset(params, rng)


class StepChangesParams(Arms):
    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        params *= 0.9
        return super().step(params, state, action, rng)


class StepChangesActions(Arms):
    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        action[:] = 0
        return super().step(params, state, action, rng)


class StepGivesFive(Arms):
    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        return (*super().step(params, state, action, rng), {})


class StateChangesDtype(Arms):
    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        _, *rest = super().step(params, state, action, rng)
        return (rest[0].astype(np.float64), *rest)


class ObservationOutside(Arms):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Discrete(2)


class ObservationAcross(Arms):
    def reset(self, params: Any, rng: Rng) -> Any:
        state, observation = super().reset(params, rng)
        return state, observation[None]


class ObservationFloat(Arms):
    def reset(self, params: Any, rng: Rng) -> Any:
        state, observation = super().reset(params, rng)
        return state, observation.astype(np.float64)


class ObservationWithoutKeys(Arms):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Dict({"pulls": spaces.Discrete(3)})


class RewardInColumns(Arms):
    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        state, observation, reward, ended = super().step(params, state, action, rng)
        return state, observation, reward[:, None], ended


class RewardWhole(Arms):
    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        state, observation, reward, ended = super().step(params, state, action, rng)
        return state, observation, reward.astype(int), ended


class RewardInfinite(Arms):
    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        state, observation, reward, ended = super().step(params, state, action, rng)
        return state, observation, reward / 0, ended


class EndedInNumbers(Arms):
    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        state, observation, reward, ended = super().step(params, state, action, rng)
        return state, observation, reward, ended.astype(np.int64)


class NoiseForSomeActions(Arms):
    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        rng.random(int(action.sum()))
        return super().step(params, state, action, rng)


class HiddenState(Arms):
    pulls = 0

    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        self.pulls += 1
        state, observation, reward, ended = super().step(params, state, action, rng)
        return state, observation, reward + self.pulls, ended


class Endless(Arms):
    horizon = None

    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        state, observation, reward, ended = super().step(params, state, action, rng)
        return state * 0, observation * 0, reward, ended & False


class OptimumOfAll(Arms):
    def optimal_return(self, params: Any) -> Any:
        return np.array(params.max())


class ToldOfAll(Arms):
    def privileged_observation(self, params: Any, state: Any) -> Any:
        return params[:, 0]


class ToldInWholeNumbers(Arms):
    def privileged_observation(self, params: Any, state: Any) -> Any:
        return (params > 0.5).astype(int)


class ToldNothingFinite(Arms):
    def privileged_observation(self, params: Any, state: Any) -> Any:
        return params / state[:, None]


class ToldMoreAndMore(Arms):
    def privileged_observation(self, params: Any, state: Any) -> Any:
        return np.ones((len(params), 1 + int(state[0])))


class ToldByChanging(Arms):
    def privileged_observation(self, params: Any, state: Any) -> Any:
        state += 1
        return params


class ToldByChance(Arms):
    def privileged_observation(self, params: Any, state: Any) -> Any:
        return np.random.random((len(params), 1))  # noqa: NPY002


class ExpectedOfAll(Arms):
    def training_reward(self, params: Any, state: Any, action: Any) -> Any:
        return np.float64(0.5)


class ExpectedInColumns(Arms):
    def training_reward(self, params: Any, state: Any, action: Any) -> Any:
        return params


class ExpectedInfinite(Arms):
    def training_reward(self, params: Any, state: Any, action: Any) -> Any:
        return params[:, 0] / 0


class ExpectedLater(Arms):
    """What the trials find, after the first step."""

    def privileged_observation(self, params: Any, state: Any) -> Any:
        return params

    def training_reward(self, params: Any, state: Any, action: Any) -> Any:
        return np.where(state == 0, params[:, 0], np.nan)


BROKEN: list[tuple[type[Arms], str]] = [
    (NoObservationSpace, "observation_space is missing: set it to a gymnasium space"),
    (TupleActions, "Action space .* is not supported: use one of Box"),
    (HorizonZero, "horizon=0: set it to the steps of every episode, or to None"),
    (HorizonTooLong, "horizon=3, but 64 of 64 episodes end at step 2 .*: set horizon to the"),
    (HorizonTooShort, "horizon=1, but 0 of 64 episodes end at step 1 "),
    (UnseededSample, "sample gives other tasks for the same seed: draw from rng only"),
    (SeedlessSample, "sample gives the same tasks for every seed: draw from rng"),
    (GlobalNumpy, "sample draws from a global random generator: draw from rng only"),
    (GlobalPython, "step draws from a global random generator: draw from rng only"),
    (ListParams, "sample gives list: params and states are arrays of numbers"),
    (ObjectParams, "sample gives ndarray: params and states are arrays of numbers"),
    (NoParams, "sample gives no arrays: reset needs their rows"),
    (ParamsAcross, r"sample gives an array of shape \(2, 64\) for 64 tasks: axis 0 is the task"),
    (ResetsAll, r"reset gives an array of shape \(64,\) for 32 tasks: axis 0 is the task"),
    (ResetGivesObservationOnly, r"reset gives ndarray: return the tuple \(state, observation\)"),
    (ResetChangesParams, "reset changes params or actions: copy them first"),
    (StepChangesParams, "step changes params or actions: copy them first"),
    (StepChangesActions, "step changes params or actions: copy them first"),
    (StepGivesFive, r"step gives tuple: return the tuple \(state, observation, reward, ended\)"),
    (StateChangesDtype, "step gives a state of .*float64.*, not .*int64.* as before: keep to one"),
    (ObservationOutside, r"step's observation 2 is not in Discrete\(2\): widen that space"),
    (ObservationAcross, r"reset's observation must be .* \(\d+,\) and dtype int64, not int64 \(1,"),
    (ObservationFloat, "reset's observation must be .* dtype int64, not float64"),
    (ObservationWithoutKeys, "reset's observation must be a dict with the keys pulls"),
    (RewardInColumns, r"step's reward must be .* \(64,\) and dtype float64, not float64 \(64, 1\)"),
    (RewardWhole, "step's reward must be .* dtype float64, not int64"),
    (RewardInfinite, "step's reward is not finite"),
    (EndedInNumbers, "step's ended must be .* dtype bool, not int64"),
    (NoiseForSomeActions, "step draws other amounts of random numbers for other actions: draw"),
    (HiddenState, "other results for the same arguments: keep nothing in the distribution"),
    (OptimumOfAll, "optimal_return gives .* for 64 tasks: give a finite number for each, or None"),
    (
        ToldOfAll,
        r"privileged_observation must be .* \(64, 1\) and dtype float64, not float64 \(64,\)",
    ),
    (
        ToldInWholeNumbers,
        r"privileged_observation must be .* \(64, 2\) and dtype float64, not int64",
    ),
    (ToldNothingFinite, "privileged_observation is not finite: give a number"),
    (ToldMoreAndMore, r"privileged_observation must be .* \(64, 1\) .*, not float64 \(64, 2\)"),
    (ToldByChanging, "privileged_observation changes params, state or actions: copy them first"),
    (
        ToldByChance,
        "privileged_observation draws from a global random generator: draw from rng only",
    ),
    (ExpectedOfAll, r"training_reward must be .* \(64,\) .*, not float64 \(\)"),
    (ExpectedInColumns, r"training_reward must be .* \(64,\) .*, not float64 \(64, 2\)"),
    (ExpectedInfinite, "training_reward is not finite: give a number"),
    (ExpectedLater, "training_reward is not finite: give a number"),
    (Endless, "No trial ended in 50 steps of random actions: end episodes at a time limit"),
]
