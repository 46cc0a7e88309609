"""Training on one rank and on two: steps per second, bytes, waiting; and a model of many ranks.

Rounds of each take turns, in processes of their own. The machine has to be idle, with a core for
each rank; it takes some three minutes.

    python -m benchmarks.ranks --csv benchmarks/ranks.csv --readme docs/ranks.md
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch as th
import torch.distributed as dist
import tyro
from rl2_paper.markdown import replace_between
from stable_baselines3.common.logger import Logger
from torch.multiprocessing.spawn import spawn

from benchmarks.ranks_model import ONE, PARTS, TWO, Measured, Point, model_table, ranks_table
from benchmarks.settings import SHARED_256
from benchmarks.tables import processor
from benchmarks.workloads import make_model
from rl2_sb3 import ranks
from rl2_sb3.memories import native

POINTS = (ONE, TWO, *PARTS.values())
"""What is timed; those with fewer columns are a rank's part where there are many."""
TRIES = 50
"""All-reduces that are timed."""


@dataclass(kw_only=True)
class Ranks:
    """Time one rank and two, and tell what many would do."""

    rounds: int = 3
    """Of each."""
    csv: Path = Path("benchmarks/ranks.csv")
    """File of what was measured, which is written anew."""
    readme: Path | None = None
    """File whose text between <!-- ranks --> and <!-- /ranks --> is replaced by the tables."""
    tables: bool = False
    """Measure nothing, and write the tables of the CSV file."""


class Job(NamedTuple):
    """What a rank is to do."""

    point: Point
    folder: str
    """Where the ranks meet, and the first writes."""


def as_rank(rank: int, job: Job) -> None:
    """Train some rollouts as one of the ranks; the first writes what it measured."""
    th.set_num_threads(1)
    native.load()
    point = job.point
    if point.ranks > 1:
        store = f"file://{job.folder}/store"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=point.ranks)
    setting = SHARED_256._replace(
        columns=point.columns // point.ranks, minibatch=point.minibatch, privileged=False
    )
    model = make_model(setting, "fp32", "cpu")
    model.set_logger(Logger(None, []))
    steps = point.columns * setting.n_steps
    epochs, model.n_epochs = model.n_epochs, 1
    model.learn(steps)  # warms up
    model.n_epochs = epochs
    rollouts = max(2, 1000 // point.columns)
    sent = ranks.traffic
    sent.calls, sent.bytes_sent, sent.seconds = 0, 0.0, 0.0
    model.dump_logs = lambda iteration=0: None  # which would set them back
    begin = time.perf_counter()
    model.learn(rollouts * steps)
    seconds = (time.perf_counter() - begin) / rollouts
    calls, exchanged, waiting = sent.calls, sent.bytes_sent, sent.seconds
    numbers = sum(parameter.numel() for parameter in model.policy.parameters())
    found = Measured(
        point,
        seconds,
        *(calls / rollouts, exchanged / rollouts, waiting / rollouts, 4.0 * numbers),
        lockstep(1),
        lockstep(numbers),
    )
    if rank == 0:
        write(Path(job.folder, "found.csv"), [found])
    ranks.leave()


def lockstep(numbers: int) -> float:
    """Seconds of an all-reduce of so many numbers where no rank waits for another."""
    if ranks.size() == 1:
        return 0.0
    tensor, seconds = th.zeros(numbers), []
    for _ in range(TRIES):
        dist.barrier()
        seconds.append(timed(lambda: ranks.total(tensor)))
    return median(seconds)


def timed(do: Callable[[], object]) -> float:
    """Seconds that something takes."""
    begin = time.perf_counter()
    do()
    return time.perf_counter() - begin


def measure(point: Point) -> Measured:
    """One round."""
    with tempfile.TemporaryDirectory() as folder:
        spawn(as_rank, (Job(point, folder),), point.ranks)  # type: ignore[no-untyped-call]
        return read(Path(folder, "found.csv"))[0]


def write(path: Path, found: list[Measured]) -> None:
    """What was measured, a row each."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Point._fields, *Measured._fields[1:]])
        for each in found:
            writer.writerow([*each.point, *(f"{number:.6g}" for number in each[1:])])


def read(path: Path) -> list[Measured]:
    """What :func:`write` wrote."""
    with path.open(newline="") as file:
        _, *rows = csv.reader(file)
    return [Measured._make([Point._make(map(int, row[:3])), *map(float, row[3:])]) for row in rows]


def main(config: Ranks) -> None:
    """Measure, and write the tables."""
    found = read(config.csv) if config.tables else []
    for _ in range(0 if config.tables else config.rounds):
        for point in POINTS:
            found.append(measure(point))
            steps = point.columns * SHARED_256.n_steps
            print(f"{point}: {steps / found[-1].seconds:,.0f} steps/s", flush=True)
        write(config.csv, found)
    text = f"{ranks_table(found)}\n\n{processor()}.\n\n{model_table(found)}"
    print(text)
    if config.readme is not None:
        replace_between(config.readme, "ranks", text)


if __name__ == "__main__":
    main(tyro.cli(Ranks, description=__doc__))
