"""The evaluation cache: what jobs played, each in a file; an interrupted benchmark goes on."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray
from tqdm import tqdm

from rl2_paper.jobs import Job
from rl2_sb3.agent import Agent, load_agent
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.evaluation import Evaluation, Predictor, evaluate_trials
from rl2_sb3.files import replace_whole
from rl2_sb3.processes import follow_parent
from rl2_sb3.provenance import version
from rl2_sb3.signals import training
from rl2_sb3.tasks.bandits import BernoulliBandit
from rl2_sb3.trials.make import make_tasks

FORMAT = 1  # of the files

Play = Callable[[Job, Path], Any]
"""Plays a job and keeps it in a cache."""


class Played(NamedTuple):
    """What an agent did in all the trials of a job."""

    result: Evaluation
    pulls: NDArray[np.int16] | None
    """How often each arm was pulled, ``(trials, arms)``, of bandits."""
    exact: float | None
    """The agent's expected return, where it is known."""
    info: dict[str, Any]
    """What a trained agent's file tells of its training."""
    version: str
    """Of the code that played."""


class PullCounter:
    """An agent, and how often it pulled each arm in each trial."""

    def __init__(self, agent: Predictor, arms: int):
        self.agent = agent
        self.arms = arms
        self.batches: list[NDArray[np.int16]] = []

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Let the agent choose, and count."""
        actions, state = self.agent.predict(observation, state, episode_start, deterministic)
        start = np.asarray(observation["start"])[:, 0] > 0
        if start.all():  # a batch of trials, which have one length
            self.batches.append(np.zeros((len(start), self.arms), np.int16))
        self.batches[-1][np.arange(len(start)), actions] += 1
        return actions, state


def cache_file(job: Job, cache: Path) -> Path:
    """Where a job is kept; another agent's file, other parameters or trials: another place."""
    content = job.file and hashlib.sha256(job.file.read_bytes()).hexdigest()
    cell = job.cell.arms, job.cell.episodes  # all else that it sets is among the options
    key = [FORMAT, job.spec, content, cell, job.trials, job.seed, job.task, job.options]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    return cache / job.cell.name / f"{job.entry.name}-{digest}.npz"


def read_played(job: Job, cache: Path) -> Played | None:
    """What a job played, or None if it was not played."""
    try:
        with cache_file(job, cache).open("rb") as kept, np.load(kept) as file:
            told = json.loads(str(file["told"]))
            returns = file["returns"].astype(np.float64)
            # Of tasks without successes neither these nor the lengths are kept.
            lengths = file.get("lengths", np.broadcast_to(np.int64(-1), returns.shape))
            successes = file.get("successes", np.broadcast_to(np.nan, returns.shape))
            result = Evaluation(returns, lengths, successes, file.get("optimal"))
            return Played(result, file.get("pulls"), **told)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # not there, or not whole


def keep(job: Job, played: Played, cache: Path) -> None:
    """Keep what a job played."""
    result = played.result
    told = {"exact": played.exact, "info": played.info, "version": played.version}
    kept: dict[str, Any] = {"returns": result.returns.astype(np.float32), "told": json.dumps(told)}
    if result.optimal is not None:
        kept["optimal"] = np.asarray(result.optimal)
    if np.isfinite(result.successes).any():
        kept |= {"lengths": result.lengths, "successes": result.successes}
    if played.pulls is not None:
        kept["pulls"] = played.pulls
    replace_whole(cache_file(job, cache), lambda file: np.savez_compressed(file, **kept))


def play(job: Job, cache: Path) -> None:
    """Play a job and keep it.

    :raises ValueError: a trained agent of another setting, or another training, than its name says
    """
    th.set_num_threads(1)
    tasks = job.tasks()
    agent: Any
    if job.file is not None:
        agent = load_agent(job.file)
        _check_setting(agent, job, tasks)
    else:
        agent = make_baseline(job.spec, tasks, job.cell.episodes)
    counter = PullCounter(agent, tasks.arms) if isinstance(tasks, BernoulliBandit) else None
    result = evaluate_trials(
        counter or agent, tasks, job.trials, seed=job.seed, episodes=job.cell.episodes
    )
    played = Played(
        result,
        pulls=None if counter is None else np.concatenate(counter.batches),
        exact=None if job.file else agent.expected_return(),
        info=agent.info if job.file else {},
        version=version(),
    )
    keep(job, played, cache)


def _check_setting(agent: Agent, job: Job, tasks: Any) -> None:
    info = {"task": None, "options": {}, "episodes": None, **agent.info}
    trained_on = info["task"], info["options"], info["episodes"]
    if (info["task"], info["episodes"]) != (job.task, job.cell.episodes) or (
        make_tasks(info["task"], **info["options"]) != tasks
    ):
        raise ValueError(
            f"Agent {job.spec!r} was trained on (task, options, episodes) = {trained_on}: "
            "give the right file that name."
        )
    check_training(agent, job)


def check_training(agent: Agent, job: Job) -> None:
    """Refuse an agent that learned from something else than its name says."""
    if (learned := training(agent.info)) != job.entry.group:
        raise ValueError(
            f"Agent {job.spec!r} tells of {learned}, where {job.entry.name} is "
            f"{job.entry.group}: give the right file that name."
        )


def play_all(
    jobs: Sequence[Job],
    cache: Path,
    workers: int = 1,
    overwrite: bool = False,
    play: Play = play,
) -> None:
    """Play the jobs that are not in the cache, with a progress bar.

    :param workers: processes
    :param overwrite: play them all
    """
    left = [job for job in jobs if overwrite or read_played(job, cache) is None]
    # The longest first, so that at the end no process is left alone with a long one.
    left.sort(key=lambda job: (job.cell.arms or 1) * job.cell.episodes, reverse=True)
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(left), unit="job")
    with bar, closing(_play(left, partial(_played, play, cache), workers, bar)) as played:
        for job in played:
            bar.set_postfix_str(f"{job.entry.name} {job.cell.name}")
            bar.update()


def _played(play: Play, cache: Path, job: Job) -> Job:
    play(job, cache)
    return job


def _play(
    jobs: list[Job], play: Callable[[Job], Job], workers: int, bar: Any
) -> Generator[Job, None, None]:
    if workers == 1:
        for job in jobs:
            bar.set_postfix_str(f"{job.entry.name} {job.cell.name}")
            yield play(job)
        return
    # Leaving the block by an exception ends the processes, whatever they are at: an interruption
    # takes no time. At the end they leave by themselves, and free what they hold.
    with get_context("spawn").Pool(workers, follow_parent) as pool:
        yield from pool.imap_unordered(play, jobs)
        pool.close()
        pool.join()
