"""What value networks explain of the returns, after learning alone beside an installed agent.

Each learns from a million steps of the agent's, which stays as it is (``--value-warmup``); the
explained variance is that of the last rollout, before learning from it. What the CSV file has is
not measured again.

    python -m benchmarks.value_networks --csv plugins/rl2-paper/results/value_networks.csv
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tyro

from benchmarks.tables import processor
from rl2_sb3.cli import main as rl2

STEPS = 1_000_000
RUNS = (
    ("bandit-k10-n100", "sums", ()),
    ("bandit-k10-n100", "action-sums", ()),
    ("mdp-n25-fast-weights", "sums", ("--gamma", "1")),
    ("mdp-n25-fast-weights", "pair-sums", ("--gamma", "1")),
)
"""Preset and agent, value network, and other options."""
COLUMNS = ("preset", "value_network", "options", "steps", "explained_variance", "hardware")


@dataclass(kw_only=True)
class Benchmark:
    """Measure what value networks explain of the returns."""

    csv: Path
    """File to add the figures to."""
    steps: int = STEPS
    """To learn from."""


def explained(preset: str, network: str, options: tuple[str, ...], steps: int) -> float:
    """The last rollout's explained variance."""
    with TemporaryDirectory() as folder:
        told = [*("--preset", preset, "--init", preset, "--value-network", network), *options]
        told += ["--steps", str(steps), "--value-warmup", str(steps), "--n-epochs", "4"]
        told += ["--learning-rate", ".002", "--no-progress", "--out", f"{folder}/run"]
        rl2(["train", *told])
        with Path(folder, "run", "progress.csv").open(newline="") as file:
            rows = [row["train/explained_variance"] for row in csv.DictReader(file)]
    return round(float([value for value in rows if value][-1]), 4)


def main() -> None:
    """Measure what is missing."""
    config = tyro.cli(Benchmark)
    found: list[dict[str, Any]] = []
    if config.csv.exists():
        with config.csv.open(newline="") as file:
            found = list(csv.DictReader(file))
    for preset, network, options in RUNS:
        if any((row["preset"], row["value_network"]) == (preset, network) for row in found):
            continue
        figure = explained(preset, network, options, config.steps)
        row = (preset, network, " ".join(options), config.steps, figure, processor())
        found.append(dict(zip(COLUMNS, row, strict=True)))
        with config.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)
        print(f"{preset}, {network}: {figure:.3f}", flush=True)


if __name__ == "__main__":
    main()
