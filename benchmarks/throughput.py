"""Steps per second of RL² here, beside sb3-contrib's RecurrentPPO, in one run.

Bandit of 10 arms and 100 pulls, 500 trials a rollout, 256 units, one network for policy and value,
5 epochs, minibatches of 125 trials:

(a) RL2PPO in fp32, (b) RL2PPO in bf16, (c) RecurrentPPO with the same sizes, (d) RecurrentPPO with
its defaults (and 8 environments: with 500, one of its updates takes minutes).

The four take turns, so that a noisy machine troubles all of them; medians over the rounds. The
arithmetic limit is what the fastest matrix product measured in the same run would allow: 3 * 256 *
(256 + inputs) multiplications and additions forward, twice that backward.

    python benchmarks/throughput.py [--rounds 3] [--threads 1] [--csv results/throughput.csv]
"""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch as th
import tyro
from sb3_contrib import RecurrentPPO

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.provenance import hardware

ARMS, PULLS, TRIALS, EPOCHS, MINIBATCH, UNITS = 10, 100, 500, 5, 125, 256
SIZES: dict[str, Any] = {"n_steps": PULLS, "batch_size": MINIBATCH * PULLS, "n_epochs": EPOCHS}
Model = RL2PPO | RecurrentPPO


@dataclass(kw_only=True)
class Throughput:
    """Measure steps per second beside sb3-contrib's RecurrentPPO."""

    rounds: int = 3
    """Turns that each takes; the medians are printed."""
    threads: int = 1
    """Processor threads, for all alike."""
    device: str = "cpu"
    """cpu or cuda."""
    csv: Path | None = None
    """File to write the table to."""
    memory_only: bool = False
    """Only run one iteration of 2500 trials and print the peak memory."""


def make_models(device: str, threads: int) -> dict[str, Model]:
    """The four, each with environments of its own."""

    def rl2(precision: str, trials: int = TRIALS) -> RL2PPO:
        network = {"hidden_size": UNITS, "shared": True, "precision": precision}
        env = make_trials("bandit", trials, PULLS, seed=0, arms=ARMS)
        return RL2PPO(
            "GRUPolicy",
            env,
            **SIZES,
            policy_kwargs=network,
            seed=0,
            device=device,
            threads=threads,
        )

    lstm = {
        "lstm_hidden_size": UNITS,
        "shared_lstm": True,
        "enable_critic_lstm": False,
        "net_arch": [],
    }
    same = make_trials("bandit", TRIALS, PULLS, seed=0, arms=ARMS)
    few = make_trials("bandit", 8, PULLS, seed=0, arms=ARMS)
    name = "MultiInputLstmPolicy"
    return {
        "(a) RL2PPO, fp32": rl2("fp32"),
        "(b) RL2PPO, bf16": rl2("bf16"),
        "(c) RecurrentPPO, same sizes": RecurrentPPO(
            name, same, **SIZES, policy_kwargs=lstm, seed=0, device=device
        ),
        "(d) RecurrentPPO, defaults": RecurrentPPO(name, few, seed=0, device=device),
        "RL2PPO, fp32, 2500 trials": rl2("fp32", 2500),
    }


def time_phases(model: Model) -> dict[str, list[float]]:
    """Let the model note the seconds of each rollout and each update."""
    seconds: dict[str, list[float]] = {"collect": [], "train": []}

    def timed(phase: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            result = function(*args, **kwargs)
            if model.device.type == "cuda":
                th.cuda.synchronize()
            seconds[phase].append(time.perf_counter() - begin)
            return result

        return call

    for phase, name in (("collect", "collect_rollouts"), ("train", "train")):
        setattr(model, name, timed(phase, getattr(model, name)))
    return seconds


def peak_flops(precision: th.dtype, device: str) -> float:
    """Operations per second of the fastest matrix product of the recurrence's shape."""
    best = 0.0
    for rows in (MINIBATCH, TRIALS, 5 * TRIALS):
        left = th.randn(rows, UNITS, device=device, dtype=precision)
        right = th.randn(UNITS, 3 * UNITS, device=device, dtype=precision)
        for _ in range(5):
            begin = time.perf_counter()
            for _ in range(10):
                left @ right
            if device == "cuda":
                th.cuda.synchronize()
            seconds = (time.perf_counter() - begin) / 10
            best = max(best, 2 * rows * UNITS * 3 * UNITS / seconds)
    return best


def limit(peak: float, inputs: int) -> float:
    """Steps per second that arithmetic alone would allow, collecting and training."""
    forward = 2 * 3 * UNITS * (UNITS + inputs)
    return peak / (forward + EPOCHS * 3 * forward)


def main() -> None:
    """Measure and print the table."""
    config = tyro.cli(Throughput, description=Throughput.__doc__)
    th.set_num_threads(config.threads)
    if config.memory_only:
        model = make_models(config.device, config.threads)["RL2PPO, fp32, 2500 trials"]
        model.learn(2 * 2500 * PULLS)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    models = make_models(config.device, config.threads)
    large = models["RL2PPO, fp32, 2500 trials"]
    large.train = lambda: None  # type: ignore[method-assign]  # only its collecting is of interest
    seconds = {name: time_phases(model) for name, model in models.items()}
    peaks: dict[th.dtype, list[float]] = {th.float32: [], th.bfloat16: []}
    for turn in range(config.rounds + 1):  # the first warms up
        for name, model in models.items():
            print(f"\rround {turn} of {config.rounds}: {name:30}", end="", file=sys.stderr)
            model.learn(model.n_steps * model.n_envs)
        for dtype, measured in peaks.items():
            measured.append(peak_flops(dtype, config.device))
    print(file=sys.stderr)
    rows = []
    for name, model in models.items():
        steps = model.n_steps * model.n_envs
        collect, train = (median(seconds[name][phase][1:]) for phase in ("collect", "train"))
        both = steps / (collect + train)
        if model is large:
            rows.append([name, f"{steps / collect:.0f}", "", "", ""])
            continue
        share = ""
        if name.startswith(("(a)", "(b)")):
            # A CPU without bf16 arithmetic multiplies the rounded factors in fp32.
            peak = max(peaks[th.float32] + ([] if "fp32" in name else peaks[th.bfloat16]))
            share = f"{both / limit(peak, ARMS + 3):.0%}"
        rows.append([name, f"{steps / collect:.0f}", f"{steps / train:.0f}", f"{both:.0f}", share])
    base = float(rows[2][3])
    for row in rows:
        row.append(f"{float(row[3]) / base:.2f}" if row[3] else "")
    show(rows, peaks, models, config)


def show(
    rows: list[list[str]],
    peaks: dict[th.dtype, list[float]],
    models: dict[str, Model],
    config: Throughput,
) -> None:
    """Print the table as Markdown, and write it where asked to."""
    heading = ["", "collecting", "training", "both", "of the limit", "ratio to (c)"]
    print("| " + " | ".join(heading) + " |\n|---|" + "--:|" * (len(heading) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    machine = hardware(next(iter(models.values())).device, config.threads)
    fp32, bf16 = (max(measured) / 1e9 for measured in peaks.values())
    print(f"\n{machine}, fastest product: {fp32:.0f} GFLOP/s in fp32, {bf16:.0f} in bf16")
    command = [sys.executable, __file__, "--memory-only", "--device", config.device]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"Peak memory with 250 000 steps a rollout: {peak / 2**20:.2f} GiB")
    if config.csv is not None:
        config.csv.parent.mkdir(parents=True, exist_ok=True)
        with config.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                ["algorithm", *(name.replace(" ", "_") for name in heading[1:]), "hardware"]
            )
            writer.writerows([*row, machine] for row in rows)


if __name__ == "__main__":
    main()
