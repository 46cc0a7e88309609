"""``rl2 evaluate``: an agent, beside others, on tasks that it has never seen."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch as th
import tyro
from rich.console import Console
from rich.table import Table

from rl2_sb3.agent import agent_file, load_agent
from rl2_sb3.baselines.base import Baseline, make_baseline
from rl2_sb3.evaluation import Evaluation, Predictor, evaluate_trials, standard_error
from rl2_sb3.presets import run_folder
from rl2_sb3.provenance import version
from rl2_sb3.reports import adaptation_curve
from rl2_sb3.trials.make import make_tasks

SUMMARY = (
    *("task", "options", "episodes", "agent", "trials", "mean", "standard_error", "exact"),
    *("deterministic", "seed", "steps_trained", "seconds", "hardware", "teacher", "version"),
)
TRAINING = ("steps", "seconds", "hardware", "teacher")


@dataclass(kw_only=True)
class Evaluate:
    """Evaluate an agent, and baselines beside it, on the same tasks with the same noise.

    Prints a table, and writes OUT/evaluation.csv, OUT/adaptation.csv and the picture
    OUT/adaptation.png: the mean return of a trial's first episode, its second, and so on.
    """

    agent: Annotated[str, tyro.conf.Positional]
    """A run's folder, an agent's file, or a checkpoint's name."""
    against: list[str] = field(default_factory=list)
    """Baselines, with their parameters if need be: random greedy "ucb1(c=0.1)"."""
    name: str = "RL2"
    """What the tables call the agent."""
    trials: int = 10_000
    """Trials of each agent."""
    episodes: int | None = None
    """Episodes per trial; by default as many as the agent was trained for."""
    seed: int = 0
    """Of tasks and noise."""
    deterministic: bool = False
    """Take the likeliest action instead of sampling."""
    out: Path | None = None
    """Folder for the tables and the picture; by default the agent's, or runs/NAME."""
    device: str = "cpu"
    """cpu or cuda."""
    threads: int = 1
    """Processor threads."""
    append_to: Path | None = None
    """Table to append the rows to as well, such as results/outer_loop.csv."""


def evaluate(args: Sequence[str]) -> None:
    """Parse the options and evaluate."""
    config = tyro.cli(Evaluate, args=list(args), prog="rl2 evaluate")
    th.set_num_threads(config.threads)
    agent = load_agent(config.agent, config.device)
    info = {"task": None, "options": {}, "episodes": None, **agent.info}
    if info["task"] is None or info["episodes"] is None:
        raise ValueError(
            f"{config.agent} does not say what it was trained on: save it with "
            'model.save_agent(path, task="bandit", options={"arms": 5}).'
        )
    episodes = config.episodes or info["episodes"]
    if episodes != info["episodes"]:
        print(f"Note: trained on trials of {info['episodes']} episodes, evaluated on {episodes}.")
    tasks = make_tasks(info["task"], **info["options"])
    baselines: dict[str, Baseline] = {
        spec: make_baseline(spec, tasks, episodes) for spec in config.against
    }
    if config.name in baselines:
        raise ValueError(f"--name {config.name}: that is a baseline beside it. Give another.")
    agents: dict[str, Predictor] = {config.name: agent, **baselines}
    results = {
        name: evaluate_trials(
            predictor,
            tasks,
            config.trials,
            seed=config.seed,
            episodes=episodes,
            deterministic=config.deterministic,
            progress=name,
        )
        for name, predictor in agents.items()
    }
    exact = {name: baseline.expected_return() for name, baseline in baselines.items()}
    _print(results, exact, config)
    by_name = not Path(config.agent).exists()
    out = config.out or (run_folder(config.agent) if by_name else agent_file(config.agent).parent)
    out.mkdir(parents=True, exist_ok=True)
    _write(out, results, exact, config, info)
    unit = "pull" if info["task"] == "bandit" else "episode"
    picture = adaptation_curve(out / "adaptation.csv", out / "adaptation.png", unit=unit)
    print(f"Tables: {out / 'evaluation.csv'}, {out / 'adaptation.csv'}. Picture: {picture}")


def _print(
    results: dict[str, Evaluation], exact: dict[str, float | None], config: Evaluate
) -> None:
    table = Table(title=f"Return per trial, {config.trials:,} common trials")
    table.add_column("agent")
    successes = any(np.isfinite(result.successes).any() for result in results.values())
    headings = ["mean", "± s.e.", "exact", "first episode", "last episode"]
    for heading in headings + ["success"] * successes:
        table.add_column(heading, justify="right")
    for name, result in sorted(results.items(), key=lambda item: item[1].mean):
        value = exact.get(name)
        success = [f"{np.nanmean(result.successes):.1%}"] if successes else []
        table.add_row(
            name,
            f"{result.mean:.3f}",
            f"{result.standard_error:.3f}",
            "" if value is None else f"{value:.3f}",
            f"{result.returns[:, 0].mean():.3f}",
            f"{result.returns[:, -1].mean():.3f}",
            *success,
            style="bold" if name == config.name else None,
        )
    Console().print(table)


def _write(
    out: Path,
    results: dict[str, Evaluation],
    exact: dict[str, float | None],
    config: Evaluate,
    info: dict[str, Any],
) -> None:
    rows = [
        [
            info["task"],
            " ".join(f"{key}={value}" for key, value in info["options"].items()),
            result.returns.shape[1],
            name,
            len(result.returns),
            f"{result.mean:.6g}",
            f"{result.standard_error:.3g}",
            "" if exact.get(name) is None else f"{exact[name]:.6g}",
            config.deterministic,
            config.seed,
            *(info.get(key, "") if name == config.name else "" for key in TRAINING),
            version(),
        ]
        for name, result in results.items()
    ]
    with (out / "evaluation.csv").open("w", newline="") as file:
        csv.writer(file).writerows([SUMMARY, *rows])
    if config.append_to is not None:
        config.append_to.parent.mkdir(parents=True, exist_ok=True)
        new = not config.append_to.exists()
        with config.append_to.open("a", newline="") as file:
            csv.writer(file).writerows([SUMMARY, *rows] if new else rows)
    with (out / "adaptation.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["agent", "episode", "mean", "standard_error", "trials"])
        for name, result in results.items():
            for episode, returns in enumerate(result.returns.T, start=1):
                row = [f"{returns.mean():.6g}", f"{standard_error(returns):.3g}", len(returns)]
                writer.writerow([name, episode, *row])
