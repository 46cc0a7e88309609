"""What a step of each suite costs while trials are played, and what of it is the framework's.

Processor time, so that other programs on the machine do not count; a rate on a busy machine means
little, but for its ratio to others of the same run. A step's parts, of one environment in this
process beside seven others:

- environment: the task's own environment with random actions, resets included (arrays' are not);
  what the suite does in Python is its own;
- network: acting, and the values of what was played;
- ours: the rest of collecting a rollout: trials, checks, the buffer, callbacks. Its environments
  only hand out what the suite's own handed in before, since a simulator's time varies by more.

Then steps per second of collecting with environments in this process, in threads, and in as many
processes as there are processors. Rounds take turns; each figure is a median over them.

    python -m benchmarks.suites --csv benchmarks/suites.csv --readme docs/speed.md
    python -m benchmarks.suites --only cheetah-direction ml1
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch as th
import tyro
from gymnasium.vector.utils import batch_space
from rl2_paper.markdown import markdown_table, replace_between

from benchmarks.recorded import recorded
from benchmarks.tables import processor
from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.config import Workers
from rl2_sb3.provenance import version
from rl2_sb3.registry import TASKS
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.trials.make import EnvSource, make_tasks
from rl2_sb3.trials.threads import processors

SUITES = (
    *("point-goal", "cheetah-direction", "cheetah-velocity", "ant-direction", "ant-goal"),
    *("ml1", "ml10"),
    *("minigrid", "popgym"),
)
COLUMNS = 8
ARRAYS = 256
"""Columns of tasks that are arrays."""
WORKERS = ("in-process", "threads", "subprocess")
HEAD = ("task", "environment", "network", "ours", *WORKERS, "commit")


class Row(NamedTuple):
    """One suite: µs of processor time a step, then steps per second of wall time."""

    task: str
    environment: float
    network: float
    ours: float
    in_process: float
    threads: float
    """As many as there are processors, for the same columns; 0 for arrays."""
    subprocess: float
    """As many processes, with a column each; 0 for arrays."""
    version: str
    """Of the code that was measured."""


@dataclass(kw_only=True)
class Suites:
    """Measure what a step of each suite costs."""

    only: tuple[str, ...] = SUITES
    """Names of tasks; those that are not installed are left out, with a word."""
    steps: int = 128
    """Length of a rollout; in each round one is collected, after one that does not count."""
    rounds: int = 5
    """Turns that each takes."""
    csv: Path | None = None
    """File to write the rows to, in place of those of the same tasks; the table shows all of it."""
    readme: Path | None = None
    """File whose text between <!-- suites --> and <!-- /suites --> is replaced by the table."""


class Collecting:
    """A model that collects rollouts and never learns."""

    def __init__(self, source: EnvSource, workers: Workers, columns: int, steps: int):
        self.trials = make_trials(source, columns, episodes=2, seed=0, workers=workers)
        self.model = RL2PPO("GRUPolicy", self.trials, n_steps=steps, threads=1, seed=0)
        self.model.train = lambda: None  # type: ignore[method-assign]
        self.size = steps * columns

    def round(self) -> tuple[float, float]:
        """Collect: processor time of a step in µs, and steps per second."""
        before, wall = time.process_time(), time.perf_counter()
        self.model.learn(self.size, reset_num_timesteps=False)
        wall = time.perf_counter() - wall
        return 1e6 * (time.process_time() - before) / self.size, self.size / wall

    @th.no_grad()
    def network(self) -> float:
        """What the network does in a rollout, once more: processor time of a step in µs."""
        model = self.model
        last: Any = model._last_obs
        before = time.process_time()
        for _ in range(model.n_steps):
            model.policy.act(model._tensors(last), value=False)
        model._fill_values([])
        return 1e6 * (time.process_time() - before) / self.size


def environment(tasks: GymTasks | BatchedTasks[Any, Any], steps: int) -> Callable[[], float]:
    """What gives the processor time of a step of the task's own environment, in µs."""
    rng = np.random.default_rng(0)
    if isinstance(tasks, BatchedTasks):
        return _arrays(tasks, steps, rng)
    env = tasks.make_env()
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(steps)]
    env.reset(seed=0, options={"task": tasks.sample(rng)})

    def alone() -> float:
        begin = time.process_time()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset(seed=0, options={"task": tasks.sample(rng)})
        return 1e6 * (time.process_time() - begin) / steps

    return alone


def _arrays(
    tasks: BatchedTasks[Any, Any], steps: int, rng: np.random.Generator
) -> Callable[[], float]:
    params = tasks.sample(ARRAYS, rng)
    space = batch_space(tasks.action_space, ARRAYS)
    space.seed(0)
    actions = [space.sample() for _ in range(steps)]

    def alone() -> float:
        state, _ = tasks.reset(params, rng)
        begin = time.process_time()
        for action in actions:
            state, *_ = tasks.step(params, state, action, rng)
        return 1e6 * (time.process_time() - begin) / (steps * ARRAYS)

    return alone


def measure(name: str, config: Suites) -> Row:
    """Play a suite in every way, in turns."""
    tasks = make_tasks(name)
    arrays = isinstance(tasks, BatchedTasks)
    columns = ARRAYS if arrays else COLUMNS
    ways: list[tuple[Workers, int]] = [("in-process", columns)]
    if not arrays:
        ways += [("threads", columns), ("subprocess", processors())]
    played = [Collecting(name, workers, n, config.steps) for workers, n in ways]
    again = Collecting(recorded(tasks, ARRAYS), "in-process", columns, config.steps)
    alone = environment(tasks, config.steps * (1 if arrays else columns))
    turns = []
    for _ in range(config.rounds + 1):
        collected, _ = again.round()
        network = again.network()
        rates = [each.round()[1] for each in played]
        turns.append((alone(), network, collected - network, *rates))
    for each in played:
        each.trials.close()
    medians = [median(column) for column in zip(*turns[1:], strict=True)]  # the first warms up
    return Row._make([name, *medians, *([0.0] * (len(WORKERS) - len(ways))), version()])


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    cells = [
        [
            row.task,
            *(f"{each:.1f}" for each in (row.environment, row.network, row.ours)),
            *(_rate(each) for each in (row.in_process, row.threads, row.subprocess)),
            row.version,
        ]
        for row in rows
    ]
    return f"{markdown_table(HEAD, cells)}\n\n{processor()}, {processors()} processors."


def _rate(rate: float) -> str:
    return f"{rate:,.0f}".replace(",", " ") if rate else ""


def read(path: Path) -> list[Row]:
    """The rows of a file, if there is one."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        _, *lines = csv.reader(file)
    return [Row._make([task, *map(float, numbers), code]) for task, *numbers, code in lines]


def write(rows: list[Row], path: Path) -> None:
    """Write rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        for task, *numbers, code in rows:
            writer.writerow([task, *(f"{number:.4g}" for number in numbers), code])


def main(config: Suites) -> None:
    """Measure, print and write."""
    th.set_num_threads(1)
    rows = []
    for name in config.only:
        if name not in TASKS:
            print(f"{name} is not installed, so it is left out.")
            continue
        rows.append(measure(name, config))
        print(table(rows[-1:]).splitlines()[2], flush=True)
    if config.csv is not None:
        measured = {row.task for row in rows}
        rows = [*(row for row in read(config.csv) if row.task not in measured), *rows]
        write(rows, config.csv)
        rows = read(config.csv)  # rounded as the file is
    text = table(rows)
    print(f"\n{text}")
    if config.readme is not None:
        replace_between(config.readme, "suites", text)


if __name__ == "__main__":
    main(tyro.cli(Suites, description=__doc__))
