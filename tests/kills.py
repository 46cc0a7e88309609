"""Kill runs at random moments, go on with them, and compare: nothing may be lost.

    python -m tests.kills --kills 120

Runs of each kind are ended by SIGKILL, SIGTERM and SIGINT, while a checkpoint is being written, and
by a disk that is full; they are resumed until they are over. Each must have trained the agent, and
logged the rows, of a run that was left alone. Prints a line for each kind and way, and ends with
status 1 where one differs. Takes some minutes; `make test` does not run it.
"""

from __future__ import annotations

import csv
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch as th
import tyro

from benchmarks.identical import fingerprint
from rl2_sb3.algorithms.unpickling import attributes
from rl2_sb3.cli import main as rl2
from rl2_sb3.memories import native

COMMON = "--hidden-size 16 --threads 1 --device cpu --seed 3 --minutes-between-checkpoints"
KINDS = {
    "ppo": f"train bandit --n-envs 20 --episodes 10 --steps 5000 {COMMON}",
    "trpo": f"train tabular-mdp --n-envs 8 --episodes 2 --steps 3200 --algorithm trpo {COMMON}",
    "gymnasium": "train CartPole-v1 --n-envs 4 --n-steps 32 --episodes 3 --steps 2560 --memory "
    f"lstm {COMMON}",
    "processes": "train CartPole-v1 --n-envs 2 --n-steps 32 --episodes 2 --steps 1600 --workers "
    f"subprocess {COMMON}",
    "imitation": "imitate bandit --episodes 10 --teacher thompson --batches 60 --n-envs 64 "
    f"--trials-per-batch 32 --student-share 0.5 {COMMON}",
}
"""Commands of ``rl2``, that lack how many minutes are between checkpoints."""
SWEEP = """
method: grid
metric: {name: mean, goal: maximize}
command: ["${env}", rl2, baseline, ucb1, "${args}"]
parameters:
  episodes: {value: 20}
  trials: {value: 400}
  split: {value: validation}
  c: {values: [0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2]}
"""
WAYS = ("SIGKILL", "SIGTERM", "SIGINT", "writing", "disk full")
OF_TIME = ("time/fps", "time/time_elapsed")
LIMIT = 300.0
"""Seconds after which a run is taken to hang."""


@dataclass(kw_only=True)
class Kills:
    """Kill runs and compare."""

    kills: int = 120
    """How many, over all kinds and ways."""
    seed: int = 0
    """Of the moments."""
    only: tuple[str, ...] = ()
    """Kinds, by default all."""


class Left(NamedTuple):
    """What a run leaves: what it learned, and what it logged."""

    agent: str
    rows: tuple[tuple[str, ...], ...]


def begin(words: list[str], out: Path, most_bytes: int | None = None) -> int:
    """Run a command in a process of its own, which has all modules already.

    :param most_bytes: that a file may have: all that is written past them fails
    :return: the process
    """
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        out.mkdir(parents=True, exist_ok=True)
        log = os.open(out / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        rl2(words)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
        if status == 1:
            os.write(2, f"{error.code}\n".encode())
    finally:
        os._exit(status)


def wait(process: int, limit: float = LIMIT) -> int | None:
    """The status of a process, minus a signal's number; None if it is not over in time."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def left(out: Path) -> Left:
    """What a run left."""
    with (out / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = tuple(
        tuple(f"{name}={row[name]}" for name in sorted(row) if row[name] and name not in OF_TIME)
        for row in rows
    )
    return Left(fingerprint(out / "agent.safetensors"), told)


def kill(process: int, out: Path, way: str, after: float) -> int | None:
    """End a process in some way; gives its status, None where it hung."""
    if way == "writing":
        part = out / "checkpoint.zip.part"
        end = time.monotonic() + after
        while time.monotonic() < end or not part.exists():
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
    elif way != "disk full" and (over := wait(process, after)) is not None:
        return over
    if way != "disk full":
        name = "SIGKILL" if way == "writing" else way
        os.kill(process, signal.Signals[name])
    return wait(process)


class Chain:
    """Runs of one kind that are ended in one way, and resumed."""

    def __init__(self, kind: str, way: str, folder: Path, reference: Left, seconds: float):
        self.kind, self.way, self.folder = kind, way, folder
        self.reference, self.seconds = reference, seconds
        self.words = [*KINDS[kind].split(), "0" if way in ("writing", "disk full") else "0.01"]
        self.kills = self.resumed = self.over = 0
        self.faults: list[str] = []

    def run(self, kills: int, rng: random.Random) -> None:
        """Kill so many times."""
        out = self.folder / f"{self.kind}-{self.way.replace(' ', '-')}"
        size = (self.folder / self.kind / "checkpoint.zip").stat().st_size
        while self.kills < kills and len(self.faults) < 5:
            limit = rng.randrange(500, 2 * size) if self.way == "disk full" else None
            (out / "checkpoint.zip.part").unlink(missing_ok=True)
            process = begin(self._command(out), out, limit)
            status = kill(process, out, self.way, rng.uniform(0, self.seconds))
            if status == 0:
                self._compare(out)
                continue
            self.kills += 1
            self._check(status, out)
        process = begin(self._command(out), out)
        if wait(process) == 0:
            self._compare(out)
        else:
            self.faults.append(f"could not be resumed, see {out}")

    def _command(self, out: Path) -> list[str]:
        self.resumed += (out / "checkpoint.zip").exists()
        return [*self.words, "--out", str(out), "--resume"]

    def _check(self, status: int | None, out: Path) -> None:
        """How it ended, and that what it had learned is saved where it could be."""
        number = -signal.Signals[self.way] if self.way.startswith("SIG") else -signal.SIGKILL
        expected = {number, 128 - number}  # at once, or after saving
        if self.way == "disk full":
            expected = {1}
        if status not in expected:
            self.faults.append(f"ended with status {status}, see {out}")
        saved = out / "checkpoint.zip"
        if status == 128 - number and saved.exists():
            steps = attributes(saved)["num_timesteps"]
            with (out / "progress.csv").open(newline="") as file:
                logged = [int(row["time/total_timesteps"]) for row in csv.DictReader(file)]
            if steps < max(logged, default=0):
                self.faults.append(f"{steps} steps saved, {max(logged)} learned")
        if self.way == "disk full" and "Traceback" in (out / "log.txt").read_text():
            self.faults.append(f"a traceback, see {out}")

    def _compare(self, out: Path) -> None:
        """Compare with the run that was left alone, and begin anew."""
        self.over += 1
        now = left(out)
        if now.agent != self.reference.agent:
            self.faults.append(f"another agent: {now.agent}, not {self.reference.agent}")
        elif self.kind not in ("gymnasium", "processes") and now.rows != self.reference.rows:
            # There, a trial that was taken up is in no mean: its beginning was not seen.
            self.faults.append(f"another log, see {out}")
        if not self.faults:
            shutil.rmtree(out)

    def __str__(self) -> str:
        faults = "".join(f"\n  {fault}" for fault in self.faults)
        return (
            f"{self.kind:10} {self.way:10} {self.kills:4} kills, {self.resumed:4} resumed from a "
            f"checkpoint, {self.over:3} runs compared, {len(self.faults)} faults{faults}"
        )


def kill_sweeps(folder: Path, kills: int, rng: random.Random) -> list[str]:
    """Kill a sweep, go on with it, and compare its tables; gives the faults."""
    file = folder / "sweep.yaml"
    file.write_text(SWEEP)
    words = ["sweep", str(file), "--test-trials", "50", "--workers", "1", "--out"]
    start = time.monotonic()
    wait(begin([*words, str(folder / "sweep")], folder / "sweep"))
    seconds = time.monotonic() - start
    done, out, over = 0, folder / "sweep-killed", 0
    faults: list[str] = []

    def compare() -> None:
        for name in ("sweep.csv", "sweep-best.csv"):
            if (out / name).read_bytes() != (folder / "sweep" / name).read_bytes():
                faults.append(f"{name} differs, see {out}")
        if not faults:
            shutil.rmtree(out)

    while done < kills and not faults:
        status = kill(begin([*words, str(out)], out), out, "SIGKILL", rng.uniform(0, seconds))
        if status == 0:
            over += 1
            compare()
        done += status != 0
    wait(begin([*words, str(out)], out))
    compare()
    print(f"sweep      SIGKILL    {done:4} kills, {over + 1:3} compared, {len(faults)} faults")
    return faults


def main(config: Kills) -> None:
    """Kill, compare, and print the counts.

    :raises SystemExit: a run lost something
    """
    th.set_num_threads(1)
    native.load()
    rng, folder = random.Random(config.seed), Path(tempfile.mkdtemp(prefix="kills-"))
    # Here, so that the processes that are forked from this one have imported all that it takes.
    rl2(["train", "bandit", "--steps", "50", "--no-progress", "--out", str(folder / "first")])
    kinds = [kind for kind in KINDS if not config.only or kind in config.only]
    total, faults = 0, 0
    share = max(1, round(config.kills / (len(kinds) * len(WAYS) + 1)))
    for kind in kinds:
        alone = folder / kind
        start = time.monotonic()
        if wait(begin([*KINDS[kind].split(), "0.01", "--out", str(alone)], alone)) != 0:
            sys.exit(f"{kind} does not run, see {alone}/log.txt")
        seconds = time.monotonic() - start
        for way in WAYS:
            chain = Chain(kind, way, folder, left(alone), seconds)
            chain.run(share, rng)
            print(chain, flush=True)
            total, faults = total + chain.kills, faults + len(chain.faults)
    if not config.only:
        faults += len(kill_sweeps(folder, share, rng))
        total += share
    print(f"{total} kills, {faults} faults.")
    if faults:
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(tyro.cli(Kills, description=__doc__))
