"""Matches played, each kept on disk: a benchmark that is interrupted goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import signal
import zipfile
import zlib
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray
from tqdm import tqdm

from rl2_sb3.agent import Agent, load_agent
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.benchmark import Match
from rl2_sb3.evaluation import Evaluation, Predictor, evaluate_trials
from rl2_sb3.runs.provenance import version
from rl2_sb3.runs.signals import training
from rl2_sb3.tasks.bandits import BernoulliBandit
from rl2_sb3.trials.make import make_tasks

FORMAT = 1  # of the files


class Played(NamedTuple):
    """What an agent did in all the trials of a match."""

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


def match_file(match: Match, cache: Path) -> Path:
    """Where a match is kept; another agent's file, other parameters or trials: another place."""
    content = match.file and hashlib.sha256(match.file.read_bytes()).hexdigest()
    lists = match.trials, match.seed, match.task, match.options
    key = [FORMAT, match.spec, content, match.cell, *lists]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    return cache / match.cell.name / f"{match.contender.name}-{digest}.npz"


def read_match(match: Match, cache: Path) -> Played | None:
    """A match that was played, or None."""
    try:
        with match_file(match, cache).open("rb") as kept, np.load(kept) as file:
            told = json.loads(str(file["told"]))
            returns = file["returns"].astype(np.float64)
            lengths = np.broadcast_to(np.int64(-1), returns.shape)  # not kept, nor are successes
            successes = np.broadcast_to(np.nan, returns.shape)
            result = Evaluation(returns, lengths, successes, file["optimal"])
            return Played(result, file.get("pulls"), **told)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # not there, or not whole


def play_match(match: Match, cache: Path) -> Match:
    """Play a match and keep it.

    :raises ValueError: a checkpoint of another setting, or another training, than its name says
    """
    th.set_num_threads(1)
    tasks = match.tasks()
    agent: Any
    if match.file is not None:
        agent = load_agent(match.file)
        _check_setting(agent, match, tasks)
    else:
        agent = make_baseline(match.spec, tasks, match.cell.episodes)
    counter = PullCounter(agent, tasks.arms) if isinstance(tasks, BernoulliBandit) else None
    result = evaluate_trials(
        counter or agent, tasks, match.trials, seed=match.seed, episodes=match.cell.episodes
    )
    told = {
        "exact": None if match.file else agent.expected_return(),
        "info": agent.info if match.file else {},
        "version": version(),
    }
    kept: dict[str, Any] = {
        "returns": result.returns.astype(np.float32),
        "optimal": np.asarray(result.optimal),
        "told": json.dumps(told),
    }
    if counter is not None:
        kept["pulls"] = np.concatenate(counter.batches)
    path = match_file(match, cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **kept)
    part.replace(path)  # nobody finds half a match
    return match


def _check_setting(agent: Agent, match: Match, tasks: Any) -> None:
    info = {"task": None, "options": {}, "episodes": None, **agent.info}
    trained_on = info["task"], info["options"], info["episodes"]
    if (info["task"], info["episodes"]) != (match.task, match.cell.episodes) or (
        make_tasks(info["task"], **info["options"]) != tasks
    ):
        raise ValueError(
            f"Checkpoint {match.spec!r} was trained on (task, options, episodes) = {trained_on}: "
            "give the right file that name."
        )
    if (learned := training(info)) != match.contender.group:
        raise ValueError(
            f"Checkpoint {match.spec!r} tells of {learned}, where {match.contender.name} is "
            f"{match.contender.group}: give the right file that name."
        )


def play_matches(
    matches: Sequence[Match], cache: Path, workers: int = 1, overwrite: bool = False
) -> None:
    """Play the matches that are not in the cache, with a progress bar.

    :param workers: processes
    :param overwrite: play them all
    """
    left = [match for match in matches if overwrite or read_match(match, cache) is None]
    # The longest first, so that at the end no process is left alone with a long one.
    left.sort(key=lambda match: (match.cell.arms or 1) * match.cell.episodes, reverse=True)
    bar = tqdm(total=len(matches), initial=len(matches) - len(left), unit="match")
    with bar, closing(_play(left, cache, workers, bar)) as played:
        for match in played:
            bar.set_postfix_str(f"{match.contender.name} {match.cell.name}")
            bar.update()


def _play(
    matches: list[Match], cache: Path, workers: int, bar: Any
) -> Generator[Match, None, None]:
    if workers == 1:
        for match in matches:
            bar.set_postfix_str(f"{match.contender.name} {match.cell.name}")
            yield play_match(match, cache)
        return
    # Leaving the block by an exception ends the processes, whatever they are at: an interruption
    # takes no time. At the end they leave by themselves, and free what they hold.
    quiet = signal.SIGINT, signal.SIG_IGN
    with get_context("spawn").Pool(workers, signal.signal, quiet) as pool:
        yield from pool.imap_unordered(partial(play_match, cache=cache), matches)
        pool.close()
        pool.join()
