"""Folders of runs and tables of evaluations, as the plots read them."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STEPS, RETURN = "time/total_timesteps", "trial/return"
HEADER = f"time/time_elapsed,{STEPS},{RETURN},trial/return_episode_01"
CONFIG: dict[str, Any] = {
    "task": "bandit",
    "episodes": 10,
    "steps": 1000,
    "seed": 0,
    "algorithm": "ppo",
    "learning_rate": 3e-3,
    "shared": False,
    "options": {},
}


def write_run(folder: Path, *parts: Sequence[tuple[int, float | str]], **changes: Any) -> Path:
    """A run's folder: its settings, and a log for each part, of steps and returns."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    for number, rows in enumerate(parts, start=1):
        lines = [f"{step / 7},{step},{value},0.5" for step, value in rows]
        name = "progress.csv" if number == 1 else f"progress-{number}.csv"
        (folder / name).write_text("\n".join([HEADER, *lines]) + "\n")
    return folder


def write_evaluation(path: Path, agents: dict[str, list[float]], trials: int = 1000) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["agent", "episode", "mean", "standard_error", "trials"])
        for agent, means in agents.items():
            writer.writerows([agent, i + 1, mean, 0.01, trials] for i, mean in enumerate(means))
    return path
