from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecMonitor,
    VecNormalize,
)

from rl2_sb3.registry import TASKS
from rl2_sb3.tasks import BernoulliBandit
from rl2_sb3.trials import BatchedTrials, TrialWrapper, make_trials
from rl2_sb3.trials.make import (
    as_trials,
    env_episodes,
    make_tasks,
    seed_trials,
)
from rl2_sb3.trials.sizes import trial_length
from rl2_sb3.trials.spaces import is_trial_space
from rl2_sb3.trials.threads import ThreadedVecEnv
from tests.envs import GoalEnv, GoalTasks, RaggedTasks, truncating_env

ENV = truncating_env()


def test_name_makes_arrays() -> None:
    trials: Any = make_trials("bandit", arms=7, episodes=4)

    assert isinstance(trials, BatchedTrials)
    assert trials.num_envs == 500
    assert trials.action_space == spaces.Discrete(7)
    assert trials.episodes == 4
    assert make_trials("bandit", 3).num_envs == 3


@pytest.mark.parametrize(
    "source",
    [
        "CartPole-v1",
        GoalTasks(),
        GoalEnv,
        truncating_env,
        partial(gym.make, "CartPole-v1"),
    ],
    ids=["id", "tasks", "class", "function", "partial"],
)
def test_id_tasks_and_functions_make_environments(source: Any) -> None:
    trials = make_trials(source, episodes=4)

    assert isinstance(trials, DummyVecEnv)
    assert trials.num_envs == 8
    assert all(isinstance(env, TrialWrapper) for env in trials.envs)
    assert trials.get_attr("episodes") == [4] * 8
    assert is_trial_space(trials.observation_space)
    trials.reset()
    trials.close()


def test_environments_get_their_tasks() -> None:
    trials = make_trials(GoalTasks(width=3), n_envs=30, seed=0)
    trials.reset()
    assert set(trials.get_attr("goal")) == set(range(-3, 4))


def test_options_go_to_the_environment() -> None:
    trials: Any = make_trials("CartPole-v1", 1, sutton_barto_reward=True)
    assert trials.envs[0].unwrapped._sutton_barto_reward


def test_one_environment() -> None:
    trials = make_trials(ENV)
    assert trials.num_envs == 1
    assert trials.envs[0].env is ENV  # type: ignore[attr-defined]
    assert env_episodes(trials) == 10

    with pytest.raises(ValueError, match="One environment cannot be n_envs=2, nor move"):
        make_trials(ENV, n_envs=2)
    with pytest.raises(ValueError, match="One environment cannot be n_envs=None, nor move"):
        make_trials(ENV, workers="subprocess")
    with pytest.raises(ValueError, match="returned the same instance"):
        make_trials(lambda: ENV, n_envs=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_trials("bandits"), r"'bandits' is neither .*Did you mean 'bandit'\?"),
        (lambda: make_trials("CartPol-v1"), r"'CartPol-v1' is neither .*Did you mean.* `?CartPole"),
        (lambda: make_trials("CartPole-v99"), "'CartPole-v99' is neither .*version"),
        (
            lambda: make_trials("bandit", arm=3),
            r"bandit has no option 'arm'\. Did you mean 'arms'\? Its options: arms, alpha, beta\.",
        ),
        (lambda: make_trials("bandit", arms=0), "arms=0"),
        (
            lambda: make_trials(GoalTasks(), width=3),
            r"Options \['width'\] go with a name, not",
        ),
        (lambda: make_trials(7), "7 is no source of trials: pass a task distribution or its name"),  # type: ignore[arg-type]
        (lambda: make_trials(BernoulliBandit), "gave BernoulliBandit.*: it must make a Gymnasium"),  # type: ignore[arg-type]
        (lambda: make_trials("bandit", n_envs=0), "n_envs=0: at least 1"),
        (lambda: make_trials(GoalEnv, n_envs=0), "n_envs=0: at least 1"),
        (lambda: make_trials(GoalEnv, episodes=0), "episodes=0: a trial has at least one"),
        (
            lambda: make_trials(GoalEnv, workers="processes"),  # type: ignore[arg-type]
            "workers='processes': use one of in-process, threads, subprocess",
        ),
        (lambda: make_trials(lambda: TrialWrapper(GoalEnv(), 2)), "is a trial already"),
    ],
)
def test_errors_give_the_way_out(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def without_default(arms: int, *, colour: str) -> BernoulliBandit:
    return BernoulliBandit(arms)


def test_option_without_a_default_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS, "load", lambda name: without_default)
    assert make_tasks("bandit", arms=3, colour="red") == BernoulliBandit(3)
    with pytest.raises(ValueError, match="bandit needs its options arms, colour: they"):
        make_tasks("bandit")
    with pytest.raises(ValueError, match="bandit needs its options colour: they"):
        make_tasks("bandit", arms=3)


def open_ended(**options: Any) -> RaggedTasks:
    assert options == {"colour": "red"}
    return RaggedTasks()


@pytest.mark.parametrize("plugin", [RaggedTasks, lambda: GoalTasks()])
def test_registered_thing_may_be_a_class_or_a_function(
    plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TASKS, "load", lambda name: plugin)
    assert type(make_tasks("bandit")) is type(plugin())


def test_registered_function_may_take_any_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS, "load", lambda name: open_ended)
    assert isinstance(make_tasks("bandit", colour="red"), RaggedTasks)


@pytest.mark.parametrize("plugin", [GoalEnv, np, 7])
def test_registered_thing_that_is_no_distribution(
    plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TASKS, "load", lambda name: plugin)
    with pytest.raises(RuntimeError, match=r"'bandit' of rl2-sb3 .* is broken: its entry point"):
        make_trials("bandit")


@pytest.fixture(scope="module", params=["subprocess", "threads"])
def workers(request: pytest.FixtureRequest) -> Iterator[VecEnv]:
    trials = make_trials(GoalTasks(), 2, episodes=3, seed=4, workers=request.param)
    yield trials
    trials.close()


def test_workers_do_the_same(workers: VecEnv) -> None:
    assert isinstance(workers, (SubprocVecEnv, ThreadedVecEnv))
    trials = make_trials(GoalTasks(), 2, episodes=3, seed=4)
    np.testing.assert_equal(workers.reset(), trials.reset())
    for action in np.random.default_rng(0).integers(0, 2, (20, 2)):
        for in_process, in_worker in zip(trials.step(action), workers.step(action), strict=True):
            np.testing.assert_equal(list(in_process), list(in_worker))


def test_state_moves_between_workers(workers: VecEnv) -> None:
    trials = make_trials(GoalTasks(), 2, episodes=3, seed=1)
    actions = np.random.default_rng(0).integers(0, 2, (40, 2))
    trials.reset()
    for action in actions[:21]:
        trials.step(action)
    states = trials.env_method("get_state")
    expected = [trials.step(action)[:3] for action in actions[21:]]

    for others in (make_trials(GoalTasks(), 2, episodes=3), workers):
        for column, state in enumerate(states):
            others.env_method("set_state", state, indices=[column])
        np.testing.assert_equal([others.step(action)[:3] for action in actions[21:]], expected)


def test_trials_of_workers_are_trials(workers: VecEnv) -> None:
    assert as_trials(workers) is workers
    assert env_episodes(workers) == 3
    assert trial_length(workers) is None


@pytest.mark.parametrize("source", [GoalTasks(), "bandit"])
def test_seeds_have_no_trials_in_common(source: Any) -> None:
    def tasks(seed: int) -> list[Any]:
        trials: Any = make_trials(source, 8, seed=seed)
        trials.reset()
        if isinstance(trials, BatchedTrials):
            return list(trials._params[:, 0])
        return [trial._rng.bit_generator.state["state"]["state"] for trial in trials.envs]

    assert tasks(0) == tasks(0)
    assert len({*tasks(0), *tasks(1), *tasks(2)}) == 3 * 8


def test_seed_trials_seeds_arrays_as_make_trials_does() -> None:
    trials, seeded = make_trials("bandit", 4, seed=3), make_trials("bandit", 4)
    seed_trials(seeded, 3)
    trials.reset(), seeded.reset()
    np.testing.assert_array_equal(trials._params, seeded._params)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("env", "n_envs", "episodes"),
    [
        ("bandit", 500, 10),
        ("CartPole-v1", 8, 10),
        (GoalTasks(), 8, 10),
        (BernoulliBandit(), 500, 10),
        (GoalEnv(), 1, 10),
        (Monitor(GoalEnv()), 1, 10),
        (TrialWrapper(GoalEnv(), 5), 1, 5),
        (Monitor(TrialWrapper(GoalEnv(), 5)), 1, 5),
        (DummyVecEnv([GoalEnv, GoalEnv]), 2, 10),
        (make_vec_env(GoalEnv, 3), 3, 10),
        (VecMonitor(make_vec_env(GoalEnv, 3)), 3, 10),
        (make_trials(GoalEnv, 4, 6), 4, 6),
        (make_trials("bandit", 4, 6), 4, 6),
        (VecNormalize(make_trials("bandit", 4, 6), norm_obs=False), 4, 6),
        (VecMonitor(make_trials(GoalEnv, 4, 6)), 4, 6),
    ],
    ids=lambda part: type(part).__name__,
)
def test_as_trials(env: Any, n_envs: int, episodes: int) -> None:
    trials = as_trials(env)

    assert is_trial_space(trials.observation_space)
    assert trials.num_envs == n_envs
    assert env_episodes(trials) == episodes
    trials.reset()
    trials.step(np.zeros(n_envs, np.int64))
    assert as_trials(trials) is trials


def test_as_trials_gives_plain_environments_so_many_episodes() -> None:
    assert env_episodes(as_trials(GoalEnv(), 7)) == 7
    assert env_episodes(as_trials(DummyVecEnv([GoalEnv]), 7)) == 7
    assert env_episodes(as_trials(make_trials(GoalEnv, 2, 7), 7)) == 7
    with pytest.raises(ValueError, match="episodes=7, but the environment's trials have 5: leave"):
        as_trials(TrialWrapper(GoalEnv(), 5), 7)


def test_as_trials_takes_monitors_off_and_keeps_seeds() -> None:
    def first(seed: int | None) -> Any:
        trials: Any = as_trials(make_vec_env(GoalEnv, 3, seed=seed))
        assert not any(trials.env_is_wrapped(Monitor))
        trials.reset()
        return trials.get_attr("_task")

    assert first(5) == first(5)
    assert first(5) != first(6)


class PlainSubprocVecEnv(SubprocVecEnv):
    """One that starts no process."""

    def __init__(self) -> None:
        self.observation_space = spaces.Discrete(2)
        self.num_envs = 1

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            PlainSubprocVecEnv(),
            "A PlainSubprocVecEnv of plain environments cannot be wrapped from outside: make "
            r"trials with rl2_sb3\.make_trials\(\.\.\., workers='subprocess'\)",
        ),
        (
            VecNormalize(DummyVecEnv([GoalEnv])),
            "A VecNormalize of plain environments cannot be",
        ),
        (7, "7 is no environment: pass a Gymnasium environment, its id, a task distribution or"),
        (None, "None is no environment"),
        ("bandits", r"'bandits' is neither .*Did you mean 'bandit'\?"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_as_trials_refuses(env: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_trials(env)
