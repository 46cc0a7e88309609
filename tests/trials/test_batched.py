from collections.abc import Iterator
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3.tasks import BatchedTasks, BernoulliBandit
from rl2_sb3.trials import BatchedTrials
from tests.envs import RaggedTasks, Slopes, Walk, vector

Rng = np.random.Generator


class Levers(BatchedTasks[Any, None]):
    """Episodes of one step that pay ``1 + arm`` on even columns, and nothing on odd ones."""

    def __init__(self, action_space: spaces.Space[Any] | None = None) -> None:
        self.observation_space: Any = spaces.Discrete(1)
        self.action_space: Any = action_space or spaces.Discrete(3)
        self.horizon = 1

    def sample(self, n: int, rng: Rng) -> Any:
        return np.arange(n) % 2 == 0

    def reset(self, params: Any, rng: Rng) -> Any:
        return None, np.zeros(len(params), np.int64)

    def step(self, params: Any, state: None, action: Any, rng: Rng) -> Any:
        n = len(params)
        reward = params * (1.0 + action.reshape(n, -1)[:, 0])
        return None, np.zeros(n, np.int64), reward, np.ones(n, bool)


def make(*args: Any, **kwargs: Any) -> Any:
    """BatchedTrials as Any: SB3's types leave open what an observation is."""
    return BatchedTrials(*args, **kwargs)


def feedback(obs: dict[str, Any]) -> Any:
    """Action, reward, done and start of each column."""
    keys = ("action", "reward", "done", "start")
    return np.concatenate([obs[k].reshape(len(obs[k]), -1) for k in keys], axis=1).tolist()


def test_seams_of_a_trial() -> None:
    trials = make(Levers(), n_envs=2, episodes=2)

    assert feedback(trials.reset()) == [[0, 0, 0, 1], [0, 0, 0, 1]]

    obs, reward, done, infos = trials.step(np.array([2, 1]))
    assert feedback(obs) == [[2, 3, 1, 0], [1, 0, 1, 0]]  # an inner end
    assert reward.tolist() == [3, 0]
    assert done.tolist() == [False, False]
    assert list(infos) == [{}, {}]

    obs, reward, done, infos = trials.step(np.array([1, 2]))
    assert feedback(obs) == [[0, 0, 0, 1], [0, 0, 0, 1]]  # the next trial's first step
    assert reward.tolist() == [2, 0]
    assert done.tolist() == [True, True]
    for info, last in zip(infos, ([1, 2, 1, 0], [2, 0, 1, 0]), strict=True):
        assert info["TimeLimit.truncated"] is False
        terminal = {key: part[None] for key, part in info["terminal_observation"].items()}
        assert feedback(terminal) == [last]


@pytest.mark.parametrize(
    ("space", "nothing"),
    [
        (spaces.Discrete(3), 0),
        (spaces.MultiDiscrete([3, 2]), [0, 0]),
        (spaces.MultiBinary(2), [0, 0]),
        (spaces.Box(np.float64(0.5), np.float64(2), (2,), np.float64), [0.5, 0.5]),
        (vector(2), [0, 0]),
    ],
    ids=lambda part: type(part).__name__,
)
def test_actions_of_every_kind_come_back_as_what_they_are(
    space: spaces.Space[Any], nothing: Any
) -> None:
    trials = make(Levers(space), n_envs=3, episodes=2, seed=0)
    space.seed(0)
    action = np.stack([space.sample() for _ in range(3)])
    first = trials.reset()
    second = trials.step(action.astype(np.float64))[0]  # SB3 gives floats for MultiBinary

    np.testing.assert_array_equal(first["action"], [nothing] * 3)
    np.testing.assert_array_equal(second["action"], action)
    for obs in (first, second, trials.step(action)[0]):
        for key, part in obs.items():
            assert part.dtype == trials.observation_space[key].dtype
            assert part.flags.writeable
        for column in range(3):
            row = {key: part[column] for key, part in obs.items()}
            assert trials.observation_space.contains(row)


def test_actions_may_come_as_a_column() -> None:
    trials = make(BernoulliBandit(arms=3), n_envs=2, episodes=2)
    trials.reset()
    assert trials.step(np.array([[1], [2]]))[0]["action"].tolist() == [1, 2]


class Quiet(RaggedTasks):
    """No noise: episodes begin at 0 and last four steps, or until action 2."""

    def __init__(self) -> None:
        super().__init__()
        self.sampled: list[Slopes] = []

    def sample(self, n: int, rng: Rng) -> Slopes:
        self.sampled.append(super().sample(n, rng))
        return self.sampled[-1]

    def reset(self, params: Any, rng: Rng) -> Any:
        n = len(params.gain)
        state = Walk(np.zeros(n, np.int64), np.full(n, 4))
        return state, self._observation(state)

    def step(self, params: Any, state: Any, action: Any, rng: Rng) -> Any:
        state = Walk(state.place + action - 1, np.where(action == 2, 0, state.left - 1))
        return state, self._observation(state), params.gain * state.place, state.left == 0


def one_trial_at_a_time(gains: Iterator[float], actions: list[int], episodes: int) -> Any:
    """Observation, reward and done of each step of a column of ``Quiet``, and terminals."""
    gain, place, left, episode = next(gains), 0, 4, 0
    for action in actions:
        place, left = place + action - 1, 0 if action == 2 else left - 1
        reward, ended = gain * place, int(left == 0)
        episode += ended
        over = episode == episodes
        terminal = [place, left, action, reward, ended, 0] if over else None
        if ended:
            place, left = 0, 4
        if over:
            gain, episode = next(gains), 0
        now = [0, 0, 0, 1] if over else [action, reward, ended, 0]
        yield [place, left, *now], reward, over, terminal


def flat(obs: dict[str, Any]) -> list[float]:
    keys = ("observation_place", "observation_left", "action", "reward", "done", "start")
    return [float(np.asarray(obs[key]).reshape(())) for key in keys]


def test_ragged_trials_are_those_computed_one_at_a_time() -> None:
    n, steps = 5, 60
    tasks = Quiet()
    trials = make(tasks, n, episodes=2, seed=1)
    actions = np.random.default_rng(0).integers(0, 3, (steps, n))

    first = trials.reset()
    assert all(flat({k: v[i] for k, v in first.items()}) == [0, 4, 0, 0, 0, 1] for i in range(n))
    results = [trials.step(row) for row in actions]

    assert [len(params.gain) for params in tasks.sampled[1:]] == [
        done.sum() for _, _, done, _ in results if done.any()
    ]  # new tasks for the columns whose trial ended, and for no others
    queues: list[list[float]] = [[gain] for gain in tasks.sampled[0].gain]
    drawn = iter(tasks.sampled[1:])
    for _, _, done, _ in results:
        if done.any():
            for over, gain in zip(np.flatnonzero(done), next(drawn).gain, strict=True):
                queues[over].append(gain)
    for column in range(n):
        expected = one_trial_at_a_time(iter(queues[column]), actions[:, column].tolist(), 2)
        for (obs, reward, done, infos), (now, r, over, terminal) in zip(
            results, expected, strict=True
        ):
            assert flat({k: v[column] for k, v in obs.items()}) == pytest.approx(now, rel=1e-6)
            assert reward[column] == pytest.approx(r, rel=1e-6)
            assert done[column] == over
            assert ("terminal_observation" in infos[column]) == over
            if over:
                assert flat(infos[column]["terminal_observation"]) == pytest.approx(terminal)
    ends = np.array([done for _, _, done, _ in results])
    assert 0 < ends.sum() < ends.size
    assert ends.any(axis=1).sum() > ends.all(axis=1).sum()  # they did not all end together


class Contexts(NamedTuple):
    context: NDArray[np.float32]


class Context(BatchedTasks[Contexts, NDArray[np.float32]]):
    """Observations are the params' and the state's own arrays, and steps change the state."""

    def __init__(self) -> None:
        self.action_space: Any = spaces.Discrete(2)
        self.observation_space: Any = spaces.Dict({"context": vector(1), "state": vector(1)})

    def sample(self, n: int, rng: Rng) -> Contexts:
        return Contexts(rng.random((n, 1), np.float32))

    def reset(self, params: Contexts, rng: Rng) -> Any:
        state = np.zeros((len(params.context), 1), np.float32)
        return state, {"context": params.context, "state": state}

    def step(self, params: Contexts, state: Any, action: Any, rng: Rng) -> Any:
        state += 0.1
        ended = rng.random(len(action)) < 0.5
        return state, {"context": params.context, "state": state}, state[:, 0], ended


def test_what_was_handed_out_never_changes() -> None:
    trials = make(Context(), n_envs=6, episodes=1, seed=0)
    action = np.zeros(6, np.int64)
    kept: list[Any] = [trials.reset()]
    copies = deepcopy(kept)
    for _ in range(20):
        obs, reward, done, infos = trials.step(action)
        kept.append((obs, reward, done, list(infos)))
        copies.append(deepcopy(kept[-1]))
        action += 1  # the caller's own array
        action %= 2
    for old, new in zip(kept, copies, strict=True):
        np.testing.assert_equal(old, new)


def test_writing_into_an_observation_changes_nothing_else() -> None:
    trials, twin = (make(Context(), n_envs=6, episodes=1, seed=0) for _ in range(2))
    for obs in (trials.reset(), trials.reset()):
        for part in obs.values():
            part += 1
    twin.reset()
    np.testing.assert_equal(trials.reset(), (twin.reset(), twin.reset())[1])


def test_step_before_reset() -> None:
    with pytest.raises(RuntimeError, match=r"Call reset\(\) before step\(\)"):
        make(Levers(), 1, 1).step(np.zeros(1))


def test_trial_length() -> None:
    assert make(BernoulliBandit(2), 3, episodes=7).trial_length == 7
    assert make(RaggedTasks(), 3, episodes=7).trial_length is None
