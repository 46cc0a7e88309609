"""The memories beside each other: their speed by the length of trials, and what each learns.

Speed is that of learning from one block, forward and backward, in a process of its own; what it
learns is measured on held-out tasks after training with the same options and steps. What the CSV
file has is not measured again.

    python -m benchmarks.memories --csv benchmarks/memories.csv --page docs/memories.md
"""

from __future__ import annotations

import csv
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

import torch as th
import tyro
from rl2_paper.markdown import markdown_table, replace_between

from benchmarks.tables import processor
from rl2_sb3 import RL2PPO, evaluate_trials, make_trials
from rl2_sb3.memories import Memory
from rl2_sb3.plots.style import PALETTE, drawing
from rl2_sb3.registry import MEMORIES

NAMES = ("gru", "lstm", "linear", "window", "fast-weights")
LENGTHS = (100, 1000, 10_000)
BLOCK, INPUTS, SIZE = 20_000, 20, 128
"""Steps of a block, in trials of each length; features; units."""
ROUNDS = 3
SEED = 0


class Task(NamedTuple):
    """What is learned, with what."""

    name: str
    options: dict[str, Any]
    episodes: int
    steps: int
    learning: dict[str, Any]
    network: dict[str, Any]


COMMON = {"value_lambda": 1.0, "n_epochs": 2, "lr_decay": True, "ent_decay": True}
NETWORK = {"hidden_size": SIZE, "layers_after": (SIZE,), "value_network": "sums"}
TASKS = {
    "bandits, k=5, n=100": Task(
        *("bandit", {"arms": 5}, 100, 5_000_000),
        {**COMMON, "gae_lambda": 0.95, "learning_rate": 1e-3, "ent_coef": 0.03},
        NETWORK,
    ),
    "MDPs, n=10": Task(
        *("tabular-mdp", {}, 10, 5_000_000),
        {**COMMON, "gamma": 0.95, "gae_lambda": 0.8, "learning_rate": 2e-3, "ent_coef": 0.05},
        {**NETWORK, "state_action": True, "skip": True},
    ),
}
N_ENVS, MINIBATCH = 500, 50
"""Trials at once, and in a minibatch."""
TRIALS = 10_000
"""Held-out tasks."""


class Figure(NamedTuple):
    """One figure of one memory."""

    part: str
    """``speed``, or the task that was learned."""
    memory: str
    length: int
    """Steps of a trial."""
    figure: str
    value: float


@dataclass(kw_only=True)
class Memories:
    """Measure what is missing, and write the table and the picture."""

    only: Literal["all", "speed", "learning"] = "all"
    """Which part to measure."""
    csv: Path = Path("benchmarks/memories.csv")
    """File of the figures."""
    page: Path | None = None
    """File whose text between <!-- memories --> and <!-- /memories --> is replaced by the tables;
    the picture lies beside it."""


def make(name: str, inputs: int = INPUTS) -> Memory:
    """A memory with its own defaults."""
    memory: Memory = MEMORIES.load(name)(inputs, SIZE)
    return memory


def learn_from_block(name: str, length: int) -> tuple[float, float]:
    """In this process, which should be a new one.

    :return: steps per second of the processor's time, and MiB that learning took at its peak
    """
    th.set_num_threads(1)
    th.manual_seed(SEED)
    memory, columns = make(name), BLOCK // length
    state = th.zeros(columns, memory.state_size)
    keep = th.ones(length, columns, 1)
    keep[length // 2] = 0

    def once(x: th.Tensor) -> float:
        begin = time.process_time()
        outputs, _ = memory(x, state, keep[: len(x)])
        outputs.square().sum().backward()
        return time.process_time() - begin

    once(th.randn(2, columns, INPUTS))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = min(once(th.randn(length, columns, INPUTS)) for _ in range(2))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return BLOCK / seconds, peak / 1024


def speeds() -> Iterator[Figure]:
    """In rounds, so that what troubles a round troubles all memories."""
    for length in LENGTHS:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
        for _, name in product(range(ROUNDS), NAMES):
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                found[name].append(pool.submit(learn_from_block, name, length).result())
        for name, pairs in found.items():
            rates, peaks = zip(*pairs, strict=True)
            yield Figure("speed", name, length, "steps/s", median(rates))
            yield Figure("speed", name, length, "MiB", median(peaks))


def learn(part: str, name: str) -> Iterator[Figure]:
    """Train an agent, and evaluate it."""
    task = TASKS[part]
    trials = partial(make_trials, task.name, episodes=task.episodes, **task.options)
    model = RL2PPO(
        "GRUPolicy",
        trials(n_envs=N_ENVS, seed=SEED),
        trials_per_batch=MINIBATCH,
        seed=SEED,
        device="cpu",
        threads=1,
        policy_kwargs={"memory": name, **task.network},
        **task.learning,
    )
    model.learn(task.steps)
    policy = model.policy
    played = evaluate_trials(
        policy, task.name, TRIALS, seed=SEED, episodes=task.episodes, **task.options
    )
    acting = policy.mlp_extractor.policy.memory
    figures = {
        "return": played.mean,
        "standard error": played.standard_error,
        "parameters": sum(parameter.numel() for parameter in acting.parameters()),
    }
    for figure, value in figures.items():
        yield Figure(part, name, task.episodes, figure, value)


def read(path: Path) -> list[Figure]:
    """The figures so far."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            Figure(
                row["part"],
                row["memory"],
                int(row["length"]),
                row["figure"],
                float(row["value"]),
            )
            for row in csv.DictReader(file)
        ]


def write(path: Path, figures: list[Figure]) -> None:
    """All figures."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Figure._fields)
        for *which, value in figures:
            writer.writerow([*which, f"{value:.6g}"])


def number(value: float) -> str:
    """A whole number, in groups of three."""
    return f"{value:,.0f}".replace(",", " ")


def tables(figures: list[Figure]) -> str:
    """Speed and memory by length, and what was learned."""
    known = {figure[:4]: figure.value for figure in figures}
    head = ["steps/s, peak memory", *(f"{number(length)} steps" for length in LENGTHS)]
    lines = []
    for name in NAMES:
        line = [f"`{name}`"]
        for length in LENGTHS:
            rate = known.get(("speed", name, length, "steps/s"))
            peak = known.get(("speed", name, length, "MiB"))
            line.append("" if rate is None or peak is None else f"{number(rate)}, {peak:.0f} MiB")
        lines.append(line)
    texts = [markdown_table(head, lines)]
    head = ["", "memory", "parameters", "mean return"]
    lines = []
    for (part, task), name in product(TASKS.items(), NAMES):
        value = known.get((part, name, task.episodes, "return"))
        if value is None:
            continue
        error, parameters = (
            known[part, name, task.episodes, figure] for figure in ("standard error", "parameters")
        )
        lines.append([part, f"`{name}`", number(parameters), f"{value:.2f} ± {error:.2f}"])
    if lines:
        texts.append(markdown_table(head, lines))
    return "\n\n".join([*texts, f"{processor()}; one thread; fp32; {SIZE} units."])


def picture(figures: list[Figure], out: Path) -> None:
    """Speed and peak memory by the length of trials."""
    with drawing(out, 9, 3.2) as figure:
        sides = figure.subplots(1, 2)
        for axes, kind in zip(sides, ("steps/s", "MiB"), strict=True):
            for name, colour in zip(NAMES, PALETTE, strict=False):
                some = [each for each in figures if each[:2] == ("speed", name)]
                some = [each for each in some if each.figure == kind]
                lengths = [each.length for each in some]
                axes.plot(lengths, [each.value for each in some], "o-", color=colour, label=name)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("steps of a trial")
        sides[0].set_title("Learning from a block, steps/s")
        sides[1].set_title("Peak memory, MiB")
        sides[1].legend()


def main(config: Memories) -> None:
    """Measure what is missing, and write all."""
    th.set_num_threads(1)
    figures = read(config.csv)
    if config.only != "learning" and not any(figure.part == "speed" for figure in figures):
        figures += speeds()
        write(config.csv, figures)
    for part, name in product(TASKS, NAMES):
        if config.only == "speed" or any(figure[:2] == (part, name) for figure in figures):
            continue
        figures += learn(part, name)
        print(part, name, *(f"{each.figure} {each.value:.6g}" for each in figures[-3:]), flush=True)
        write(config.csv, figures)
    if config.page is not None:
        figures = read(config.csv)  # rounded as the file is
        replace_between(config.page, "memories", tables(figures))
        picture(figures, config.page.with_name("memories.png"))


if __name__ == "__main__":
    main(tyro.cli(Memories, description=__doc__))
