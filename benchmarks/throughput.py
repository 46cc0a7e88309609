"""Steps per second of RL² here, beside RecurrentPPO and beside an earlier commit, in one run.

Rounds of what is compared take turns, so that a noisy machine troubles all alike; each figure is a
median over rounds, a ratio one over the ratios of each round. A first round, with one epoch, warms
up and does not count. The earlier commit is installed from this repository's history into a
folder of its own (benchmarks/reference.py), and each case runs in a process of its own (worker.py).
What is timed stands in benchmarks/workloads.py, what is compared with what in rows.py.

    python -m benchmarks.throughput --csv results/throughput.csv --readme README.md
    python -m benchmarks.throughput --only a b demo --rounds 5

The arithmetic limit is what the fastest matrix product measured in the same run would allow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch as th
import tyro

from benchmarks.reference import ROOT, cache_folder, install, resolve
from benchmarks.rows import (
    CHOICES,
    FAMILIES,
    LIMIT,
    MEMORY,
    PARTS,
    PHASES,
    SELDOM,
    B,
    Case,
    Rounds,
    cases_for,
)
from benchmarks.tables import Origin, document, processor, write_csv
from benchmarks.worker import Worker
from rl2_sb3.registry import TASKS
from rl2_sb3.reports.words import replace_between
from rl2_sb3.runs.provenance import version

MOST_MEMORY = 1.5
"""GiB, with 250 000 steps a rollout."""


@dataclass(kw_only=True)
class Throughput:
    """Measure steps per second beside sb3-contrib's RecurrentPPO and an earlier commit."""

    rounds: int = 3
    """Turns that each takes; the medians are printed."""
    threads: int = 1
    """Processor threads, for all alike."""
    device: Literal["cpu", "cuda"] = "cpu"
    """What all run on."""
    clock: Literal["wall", "cpu"] = "wall"
    """What seconds are: cpu, of the processor, on a machine that other programs keep busy."""
    reference: str | None = "c0b4d92"
    """The earlier commit; None leaves it out."""
    only: tuple[str, ...] = ()
    """Names of rows, by default all."""
    csv: Path | None = None
    """File to write every figure to."""
    readme: Path | None = None
    """File whose text between <!-- speed --> and <!-- /speed --> is replaced by the tables."""


class Bench:
    """The processes, started when they are first needed, and what they measured."""

    def __init__(self, config: Throughput, folders: dict[str, Path]):
        self.config, self.folders = config, folders
        self.rounds = Rounds(config.threads)
        self.failed: dict[str, str] = {}
        """What failed, and its error."""
        self._workers: dict[Case, Worker] = {}

    def worker(self, case: Case) -> Worker:
        """The process of a case alone.

        Memory that a process has freed spares it page faults, so no two cases share one.
        """
        if case not in self._workers:
            config, threads = self.config, case.threads or self.config.threads
            folder = self.folders[case.version]
            self._workers[case] = Worker(folder, threads, config.device, config.clock)
        return self._workers[case]

    def end_workers(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    @contextmanager
    def noting_failures(self, what: str) -> Iterator[None]:
        """Let the others go on where one fails."""
        try:
            yield
        except RuntimeError as error:
            print(f"\n{what} failed: {error}", file=sys.stderr)
            self.failed[what] = str(error)

    def tell(self, turn: int, what: str) -> None:
        print(f"\rround {turn} of {self.config.rounds}: {what:60}", end="", file=sys.stderr)

    def time_cases(self, cases: list[Case], products: bool) -> None:
        """Rounds of the cases of a family, taking turns, and of matrix products."""
        for turn in range(1, self.config.rounds + 1):
            for case in cases if turn % 2 else reversed(cases):  # the machine may slow down
                name = " ".join(str(part) for part in case if part)
                if (turn - 1) % SELDOM.get(case.workload, 1) or name in self.failed:
                    continue
                self.tell(turn, name)
                with self.noting_failures(name):
                    answer = self.worker(case).ask("round", case.workload, case.precision)
                    self.rounds.of(case).append(answer)
            for precision, flops in self.rounds.flops.items() if products else ():
                product = Case("", precision)
                flops.append(self.worker(product).ask("product", "", precision)["flops"])
        self.end_workers()

    def time_parts(self) -> None:
        """Where the time of (b) goes."""
        for turn in range(1, self.config.rounds + 1):
            self.tell(turn, PARTS)
            answer = self.worker(B).ask("parts", B.workload, B.precision)
            self.rounds.parts.append(answer)
        self.end_workers()

    def measure_memory(self) -> None:
        """The peak of a process that does nothing else."""
        for precision in self.rounds.flops:
            self.tell(self.config.rounds, f"{MEMORY} {precision}")
            worker = self.worker(Case(MEMORY, precision))
            peak = worker.ask("memory", "", precision)["KiB"] / 2**20
            self.rounds.memory[precision] = peak
            if peak > MOST_MEMORY:
                raise RuntimeError(f"{peak:.2f} GiB in {precision}: {MOST_MEMORY} is the most.")

    def run(self, names: list[str]) -> None:
        """Measure all that the rows need."""
        cases = [case for case in cases_for(names) if case.version in self.folders]
        own: dict[Case, None] = {}  # each once, where it does not matter who named its threads
        for case in cases:
            own[case._replace(threads=case.threads or self.config.threads)] = None
        limit = PHASES in names or LIMIT in names
        for family in FAMILIES:
            chosen = [case for case in own if case.workload in family]
            if chosen:
                self.time_cases(chosen, limit and B.workload in family)
        alone: list[tuple[str, Callable[[], None]]] = [
            (PARTS, self.time_parts),
            (MEMORY, self.measure_memory),
        ]
        for name, measure in alone:
            if name in names:
                with self.noting_failures(name):
                    measure()
        self.end_workers()
        print(file=sys.stderr)


def main() -> None:
    """Measure, print the tables, and write them where asked to."""
    config = tyro.cli(Throughput, description=__doc__)
    names = list(config.only or CHOICES)
    if unknown := sorted(set(names) - set(CHOICES)):
        sys.exit(f"--only {' '.join(unknown)}: the rows are {', '.join(CHOICES)}.")
    if config.readme is not None and config.only:
        sys.exit("--readme shows all rows: leave --only out.")
    if "raycast-maze" not in TASKS and "maze" in names:
        names.remove("maze")
        print("Without the row maze: rl2-vizdoom is not installed.", file=sys.stderr)
    if config.device != "cpu" and PARTS in names:
        names.remove(PARTS)
        print("Without the row parts: its timers are for the CPU.", file=sys.stderr)
    if config.clock == "cpu" and "threads" in names:
        names.remove("threads")
        print("Without the row threads: it needs --clock wall.", file=sys.stderr)
    folders, commits = {"present": ROOT}, {"present": version()}
    commit = config.reference and resolve(config.reference)
    if commit:
        folders["reference"] = install(commit, cache_folder())
        commits["reference"] = commit[:7]
    elif config.reference:
        print(
            f"Without the ratios to {config.reference}: the history here does not have it.",
            file=sys.stderr,
        )
    bench = Bench(config, folders)
    bench.run(names)
    hardware = th.cuda.get_device_name() if config.device == "cuda" else processor()
    if config.clock == "cpu":
        hardware += ", seconds of the processor"
    origin = Origin(hardware, commits, config.threads)
    text = document(bench.rounds, names, origin)
    print(text)
    if config.csv is not None:
        write_csv(config.csv, bench.rounds, names, origin)
    if config.readme is not None:
        replace_between(config.readme, "speed", f"{text}\n")
    if bench.failed:
        sys.exit(f"Failed: {', '.join(bench.failed)}.")


if __name__ == "__main__":
    main()
