"""check_tasks: the contract of a task distribution, as a test that plugin authors run."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import env_checker
from gymnasium.vector.utils import batch_space
from stable_baselines3.common import env_checker as sb3_checker

from rl2_sb3.reserved import option_flaw
from rl2_sb3.tasks.base import BatchedTasks, GymTasks, take
from rl2_sb3.testing.seeds import SeedTasks
from rl2_sb3.testing.watched import Watched, demand, same, unmoved
from rl2_sb3.trials.checks import Warned

if TYPE_CHECKING:
    from rl2_sb3.trials import BatchedTrials

CHECKERS: dict[str, Callable[..., None]] = {
    "gymnasium": partial(env_checker.check_env, skip_close_check=True),
    "stable_baselines3": sb3_checker.check_env,
}
STEPS = 10_000
NO_END = f"No trial ended in {STEPS} steps of random actions: end episodes at a time limit."
HIDDEN_STATE = (
    "reset or step gives other results for the same arguments: keep nothing in the distribution, "
    "but all in params and state."
)


def check_tasks(
    tasks: BatchedTasks[Any, Any] | GymTasks | Callable[[], gym.Env[Any, Any]],
    episodes: int = 3,
    n: int = 64,
    seed: int = 0,
) -> None:
    """Raise an error where a task distribution breaks its contract, and say the way out.

    For a plugin's own tests: ``def test_contract(): check_tasks(MyTasks())``. Warns where all
    tasks are equal, and where an environment seems not to look at its task.

    :param tasks: the distribution, or a function that makes a plain environment, whose seed is the
        task
    :param episodes: episodes in each of the trials that are run, with random actions
    :param n: number of tasks that are drawn
    :param seed: of tasks, noise and actions
    :raises AssertionError: it breaks the contract
    :raises ValueError: its spaces are not supported
    :raises TypeError: it implements neither contract
    """
    if isinstance(tasks, (BatchedTasks, GymTasks)):
        flaw = option_flaw(tasks)
        demand(flaw is None, str(flaw))
    if isinstance(tasks, BatchedTasks):
        _check_batched(tasks, episodes, n, seed)
    elif not isinstance(tasks, (GymTasks, type)) and callable(tasks):
        _check_gym(SeedTasks(tasks), episodes, n, seed)
    elif isinstance(tasks, GymTasks):
        with warnings.catch_warnings():
            warnings.simplefilter("error", Warned)  # training takes it, the contract does not
            try:
                _check_gym(tasks, episodes, n, seed)
            except Warned as outside:
                raise AssertionError(str(outside)) from None
    else:
        way_out = "pass an instance" if isinstance(tasks, type) else "subclass one of them"
        raise TypeError(f"{tasks!r} is neither a BatchedTasks nor a GymTasks: {way_out}.")


def _check_batched(tasks: BatchedTasks[Any, Any], episodes: int, n: int, seed: int) -> None:
    from rl2_sb3.trials import BatchedTrials  # which imports the distributions

    for name in ("observation_space", "action_space"):
        space = getattr(tasks, name, None)
        demand(isinstance(space, spaces.Space), f"{name} is missing: set it to a gymnasium space.")
    horizon = tasks.horizon
    demand(
        horizon is None or (isinstance(horizon, int) and horizon > 0),
        f"horizon={horizon!r}: set it to the steps of every episode, or to None.",
    )
    watched = Watched(tasks)
    rngs = [np.random.default_rng(s) for s in (seed, seed, seed + 1)]
    drawn, again, other = (watched.sample(n, rng) for rng in rngs)
    equal = same(drawn, take(drawn, np.zeros(n, int)))
    _check_draws(same(drawn, again), same(drawn, other), equal)
    best = tasks.optimal_return(drawn)
    demand(
        best is None or (np.shape(best) == (n,) and bool(np.isfinite(best).all())),
        f"optimal_return gives {best} for {n} tasks: give a finite number for each, or None.",
    )
    watched.reset(take(drawn, np.arange(n) % 2 == 0), rngs[0])  # some of them, as trials do
    state, _ = watched.reset(drawn, rngs[0])
    watched.render(drawn, state)
    privileged = watched.privileged_observation(drawn, state) is not None
    trials = [BatchedTrials(watched, n, episodes, seed, privileged) for _ in range(3)]
    action = _actions(batch_space(tasks.action_space, n), seed).sample()
    watched.training_reward(drawn, state, action)
    _check_trials(trials, horizon, seed)


def _check_trials(trials: list[BatchedTrials], horizon: int | None, seed: int) -> None:
    """Run trials to their end, with a twin, and with the same tasks under other actions."""
    n, twin = trials[0].num_envs, 1
    space = batch_space(trials[0].action_space, n)
    actions, other_actions = _actions(space, seed), _actions(space, seed + 1)
    for each in trials:
        each.reset()
    alike, over = True, np.zeros(n, bool)
    for step in range(1, max(STEPS, (horizon or 0) * trials[0].episodes) + 1):
        action = actions.sample()
        chosen = action, action, other_actions.sample()
        results: list[Any] = [t.step(a)[:3] for t, a in zip(trials, chosen, strict=True)]
        demand(same(results[0], results[twin]), HIDDEN_STATE)
        ended, _, other_ended = (obs["done"][:, 0] | done for obs, _, done in results)
        demand(
            horizon is None or bool(np.all(ended == (step % horizon == 0))),
            f"horizon={horizon}, but {ended.sum()} of {n} episodes end at step {step} of the "
            "trials: set horizon to the steps of every episode, or to None.",
        )
        # Where the actions decide when episodes end, they decide how many begin as well.
        alike = alike and np.array_equal(ended, other_ended)
        noise, _, other_noise = (each._noise_rng.bit_generator.state for each in trials)
        demand(
            not alike or noise == other_noise,
            "step draws other amounts of random numbers for other actions: draw for all actions "
            "and choose then, so that all agents meet the same noise.",
        )
        over |= results[0][2]
        if over.all():
            return
    demand(False, NO_END)


def _check_gym(tasks: GymTasks, episodes: int, n: int, seed: int) -> None:
    from rl2_sb3.trials import TrialWrapper  # which imports the distributions

    drawn, again, other = (_draw(tasks, n, s) for s in (seed, seed, seed + 1))
    try:
        copies = pickle.loads(pickle.dumps(drawn))
    except Exception as error:  # pickling a foreign object may raise anything
        raise AssertionError(
            f"A task cannot be pickled ({error}): make it of numbers, arrays and tuples, since "
            "environments run in other processes."
        ) from error
    equal = all(_equal(task, drawn[0]) for task in drawn)
    _check_draws(_equal(drawn, again), _equal(drawn, other), equal)
    listed = tasks.all_tasks()
    demand(listed is None or len(listed) > 0, "all_tasks gives no task: give None for no list.")
    held = tasks.held_out()
    demand(isinstance(held, GymTasks), f"held_out gives {held!r}: give a GymTasks.")
    env, twin = tasks.make_env(), tasks.make_env()
    demand(isinstance(env, gym.Env), f"make_env gives {env!r}: give a gymnasium.Env.")
    demand(env is not twin, "make_env gives one environment twice: make a new one each time.")
    trial = TrialWrapper(env, episodes, tasks)
    met = [_episode(env, task, seed) for task in drawn[:8]]
    met_again = [_episode(twin, task, seed) for task in copies[:8][::-1]][::-1]
    demand(
        _equal(met, met_again),
        "The same task, seed and actions give another episode: reset all state in reset, and "
        "draw from self.np_random, which super().reset(seed=seed) seeds.",
    )
    if not equal and all(_equal(episode, met[0]) for episode in met):
        message = "Episodes with different tasks are equal: is options['task'] looked at?"
        if isinstance(tasks, SeedTasks):
            message = "Episodes with different seeds are equal: there is nothing to adapt to."
        warnings.warn(message, stacklevel=3)
    if tasks.privileged_size:
        knowing = TrialWrapper(twin, episodes, tasks, privileged=True)
        try:
            knowing.reset(seed=seed)
            knowing.step(knowing.action_space.sample())
        except RuntimeError as error:
            raise AssertionError(str(error)) from error
    trial.reset(seed=seed)
    actions = _actions(trial.action_space, seed)
    demand(any(trial.step(actions.sample())[2] for _ in range(STEPS)), NO_END)
    for name, check in CHECKERS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice, and that a wrapper is a wrapper
                check(trial, skip_render_check=True)
        except Exception as error:
            raise AssertionError(f"{name}'s check_env refuses the trials: {error}") from error
    env.close()
    twin.close()


def _draw(tasks: GymTasks, n: int, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [unmoved(tasks.sample, rng) for _ in range(n)]


def _check_draws(again: bool, for_every_seed: bool, equal: bool) -> None:
    demand(again, "sample gives other tasks for the same seed: draw from rng only.")
    demand(
        not for_every_seed or equal, "sample gives the same tasks for every seed: draw from rng."
    )
    if for_every_seed:
        warnings.warn("All tasks are equal: there is nothing to adapt to.", stacklevel=4)


def _episode(env: gym.Env[Any, Any], task: Any, seed: int) -> list[Any]:
    """One episode with random actions: observation, reward, terminated and truncated by step."""
    try:
        observation, _ = env.reset(seed=seed, options={"task": task})
    except Exception as error:
        raise AssertionError(
            f"reset(seed=..., options={{'task': task}}) raised {error!r}: take the task from there."
        ) from error
    actions = _actions(env.action_space, seed)
    steps: list[Any] = [deepcopy((observation, 0.0, False, False))]
    while len(steps) <= STEPS // 10 and not any(steps[-1][2:]):
        steps.append(deepcopy(env.step(actions.sample())[:4]))
    return steps


def _actions(space: spaces.Space[Any], seed: int) -> spaces.Space[Any]:
    """A copy of the space to draw from."""
    space = deepcopy(space)
    space.seed(seed)
    return space


def _equal(a: Any, b: Any) -> bool:
    return pickle.dumps(a) == pickle.dumps(b) or env_checker.data_equivalence(a, b)
