"""The same tasks and the same noise for every agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from tqdm import tqdm

from rl2_sb3.config import RunConfig, Workers
from rl2_sb3.significance import standard_error as standard_error
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.trials.batched import BatchedTrials
from rl2_sb3.trials.episode_metrics import EpisodeMetrics, stacked
from rl2_sb3.trials.make import (
    GYM_ENVS,
    VEC_ENVS,
    EnvSource,
    make_tasks,
    make_trials,
)
from rl2_sb3.trials.play import PlayedStep, play
from rl2_sb3.trials.play import Predictor as Predictor
from rl2_sb3.trials.wrapper import TrialWrapper

BATCH = 10_000  # a constant: the noise of a batch depends on its size
TEST_TASKS = 0x7E57  # sets the tasks of evaluation apart from those of training with one seed
OnStep = Callable[[PlayedStep], None]


@dataclass(frozen=True)
class Evaluation:
    """What an agent did in a fixed list of trials; all arrays are ``(trials, episodes)``."""

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    successes: NDArray[np.float64]
    """1 or 0 where the environment's ``info`` says so, else NaN."""
    optimal: NDArray[np.float64] | None = None
    """``(trials,)``: expected return of an optimal episode, given the task; None if not known."""
    metrics: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    """What the environment reports of episodes, by name; NaN where it does not."""

    @property
    def trial_returns(self) -> NDArray[np.float64]:
        """Return of each trial, ``(trials,)``."""
        return np.asarray(self.returns.sum(axis=1))

    @property
    def mean(self) -> float:
        """Mean return of a trial."""
        return float(self.trial_returns.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of :attr:`mean`."""
        return standard_error(self.trial_returns)

    @property
    def success_rates(self) -> NDArray[np.float64]:
        """Share of the trials that succeeded in each episode, ``(episodes,)``; NaN if not known."""
        return np.asarray(self.successes.mean(axis=0))

    @property
    def success_lengths(self) -> list[tuple[float, float]]:
        """Mean length of each episode where it succeeded, and its standard error; in steps."""
        columns = zip(self.lengths.T, self.successes.T, strict=True)
        found = [lengths[successes == 1] for lengths, successes in columns]
        nothing = float("nan"), float("nan")
        return [(float(x.mean()), standard_error(x)) if len(x) else nothing for x in found]

    @property
    def improved(self) -> float:
        """Share of the trials whose second episode was no longer than the first; NaN for one."""
        if self.lengths.shape[1] < 2:
            return float("nan")
        return float((self.lengths[:, 1] <= self.lengths[:, 0]).mean())

    @property
    def regret(self) -> NDArray[np.float64]:
        """What each episode fell short of :attr:`optimal`, ``(trials, episodes)``.

        :raises ValueError: the task distribution does not say what is optimal
        """
        if self.optimal is None:
            raise ValueError("No regret without the optimum: give the tasks an optimal_return().")
        return np.asarray(self.optimal[:, None] - self.returns)


def evaluate_trials(
    agent: Predictor,
    tasks: EnvSource,
    n_trials: int,
    seed: int = 0,
    episodes: int = RunConfig.episodes,
    deterministic: bool = False,
    progress: str | None = None,
    workers: Workers = "in-process",
    on_step: OnStep | None = None,
    **options: Any,
) -> Evaluation:
    """Run an agent through a fixed list of trials, each to its end.

    The list depends on ``seed`` and ``n_trials`` alone: every agent meets the same tasks, and,
    where the episodes' lengths do not depend on the actions, the same noise. Where the distribution
    has a list of tasks (:meth:`GymTasks.all_tasks`), it is gone through in its order. A trial that
    was lost is played again.

    :param agent: anything with SB3's ``predict`` over observations of trials
    :param tasks: as in :func:`~rl2_sb3.trials.make_trials`
    :param n_trials: number of trials
    :param seed: of tasks and noise; training with the same seed met other tasks
    :param episodes: episodes per trial
    :param deterministic: take the likeliest action; by default actions are sampled, as in training
    :param progress: show a progress bar with this name
    :param workers: where Gymnasium environments run, see :func:`~rl2_sb3.trials.make_trials`
    :param on_step: called with each step, to record more: the trials in it are numbered over all
    :param options: of the task distribution
    :raises ValueError: ``n_trials`` below 1, an unknown task or option
    """
    if n_trials < 1:
        raise ValueError(f"n_trials={n_trials}: at least one.")
    source = make_tasks(tasks, **options)
    results = []
    with (
        th.random.fork_rng(),
        tqdm(
            total=n_trials * episodes,
            desc=progress,
            disable=None if progress else True,  # None: but on a terminal
            unit="episode",
            leave=False,
        ) as bar,
    ):
        th.manual_seed(seed)
        for begin in range(0, n_trials, BATCH):
            n = min(BATCH, n_trials - begin)
            env = _trials(source, begin, n, episodes, workers)
            env.seed(_seed(seed, begin))
            try:
                steps = play(agent, env, n, deterministic)
                results.append(_run(steps, n, episodes, bar, on_step, begin))
            finally:
                env.close()
    returns, lengths, successes = (np.concatenate([r[i] for r in results]) for i in range(3))
    optimal = _optimal(source, n_trials, seed) if isinstance(source, BatchedTasks) else None
    metrics = stacked([result[3] for result in results])
    return Evaluation(returns, lengths, successes, optimal, metrics)


def _trials(source: Any, begin: int, n: int, episodes: int, workers: Workers) -> VecEnv:
    """Environments for trials ``begin``, ``begin + 1``, ...: see :func:`_run`."""
    if isinstance(source, BatchedTasks):
        return make_trials(source, n, episodes)
    columns = min(n, GYM_ENVS)
    listed = source.all_tasks() if isinstance(source, GymTasks) else None
    if listed is None:
        return make_trials(source, columns, episodes, workers=workers)
    order = [listed[trial % len(listed)] for trial in range(begin, begin + n)]
    wrap = partial(_listed_trial, source, episodes)
    return VEC_ENVS[workers]([partial(wrap, order[column::columns]) for column in range(columns)])


def _listed_trial(tasks: GymTasks, episodes: int, order: Sequence[Any]) -> TrialWrapper:
    return TrialWrapper(tasks.make_env(), episodes, tasks, order)


def trial_tasks(tasks: BatchedTasks[Any, Any], n_trials: int, seed: int = 0) -> Iterator[Any]:
    """The tasks that :func:`evaluate_trials` plays: params of all its trials, batch by batch."""
    for begin in range(0, n_trials, BATCH):
        env = BatchedTrials(tasks, min(BATCH, n_trials - begin), 1, _seed(seed, begin))
        env.reset()
        yield env.get_state()["params"]


def _optimal(tasks: BatchedTasks[Any, Any], n_trials: int, seed: int) -> NDArray[np.float64] | None:
    best = [tasks.optimal_return(params) for params in trial_tasks(tasks, n_trials, seed)]
    known = [np.asarray(part, np.float64) for part in best if part is not None]
    return np.concatenate(known) if known else None


def _seed(seed: int, begin: int) -> int:
    return int(np.random.SeedSequence([TEST_TASKS, seed, begin]).generate_state(1)[0])


def _run(
    steps: Iterator[PlayedStep],
    n_trials: int,
    episodes: int,
    bar: Any,
    on_step: OnStep | None,
    begin: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], EpisodeMetrics]:
    """Returns, lengths, successes and metrics of a batch, whose first trial is ``begin``."""
    returns = np.zeros((n_trials, episodes))
    lengths = np.zeros((n_trials, episodes), np.int64)
    successes, metrics = np.full((n_trials, episodes), np.nan), EpisodeMetrics(n_trials, episodes)
    for step in steps:
        came, busy = step.came, step.busy
        at = step.trial[busy], step.episode[busy]
        returns[at] += came.reward[busy]
        lengths[at] += 1
        ended = busy & came.episode_ended
        at = step.trial[ended], step.episode[ended]
        successes[at] = came.success[ended]
        metrics.note(*at, {name: values[ended] for name, values in came.metrics.items()})
        for column in np.flatnonzero(busy & came.lost):
            trial = step.trial[column]
            returns[trial], lengths[trial], successes[trial] = 0, 0, np.nan
            metrics.forget(trial)
            bar.update(-int(step.episode[column]))
        bar.update(int((ended & ~came.lost).sum()))
        if on_step is not None:
            on_step(step._replace(trial=step.trial + begin))
    return returns, lengths, successes, metrics
