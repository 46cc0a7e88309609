"""``rl2 evaluate``: an agent, beside others, on tasks that it has never seen."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch as th
import tyro
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import VecTransposeImage

from rl2_sb3.agent import Agent, load_agent
from rl2_sb3.baselines.base import Baseline, make_baseline
from rl2_sb3.cli.played import evaluation_tasks, played_folder, trained_on
from rl2_sb3.config import Workers
from rl2_sb3.evaluation import Evaluation, Predictor, evaluate_trials, standard_error
from rl2_sb3.reports import adaptation_curve
from rl2_sb3.reports.successes import (
    KEPT,
    SUCCESSES,
    in_words,
    keep_successes,
    success_rows,
    successes_table,
)
from rl2_sb3.reports.tables import merge_table, own_table
from rl2_sb3.runs.provenance import version
from rl2_sb3.runs.signals import Training, training
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.trials.spaces import trial_space

SUMMARY = (
    *("task", "options", "episodes", "agent", "trials", "mean", "standard_error", "exact"),
    *("deterministic", "seed", "steps_trained", "seconds", "hardware", "teacher", "version"),
)
TRIALS = 10_000
PLAYED = ("task", "options", "episodes", "agent", "trials", "deterministic", "seed")
TRAINING = ("steps", "seconds", "hardware", "teacher")


@dataclass(kw_only=True)
class Evaluate:
    """Evaluate an agent, and baselines beside it, on the same tasks with the same noise.

    Prints a table, and writes OUT/evaluation.csv, OUT/adaptation.csv and the picture
    OUT/adaptation.png: the mean return of a trial's first episode, its second, and so on. Where
    episodes succeed or fail, OUT/successes.csv has how often, and how long those take that succeed.
    """

    agent: Annotated[str, tyro.conf.Positional]
    """A run's folder, an agent's file, or a checkpoint's name."""
    against: list[str] = field(default_factory=list)
    """Baselines, with their parameters if need be: random greedy "ucb1(c=0.1)"."""
    name: str | None = None
    """What the tables call the agent; by default RL2, and what it learned from if that was more
    than the paper's information."""
    trials: int | None = None
    """Trials of each agent; by default 10 000, or all tasks where they are a list."""
    options: list[str] = field(default_factory=list)
    """The task's options, such as size=large, in place of those of training, or of what the task
    distribution holds out for evaluation."""
    episodes: int | None = None
    """Episodes per trial; by default as many as the agent was trained for."""
    seed: int = 0
    """Of tasks and noise."""
    deterministic: bool = False
    """Take the likeliest action instead of sampling."""
    out: Path | None = None
    """Folder for the tables and the picture; by default the agent's, or runs/checkpoints/NAME."""
    device: str = "cpu"
    """cpu or cuda."""
    threads: int = 1
    """Processor threads."""
    workers: Workers = "in-process"
    """Where Gymnasium environments run."""
    append_to: Path | None = None
    """Table to append the rows to as well, such as results/outer_loop.csv; those of the same agent,
    trials and seed are replaced. Successes go into outer_loop-successes.csv beside it."""


NAMES: dict[Training, str] = {
    "RL from scratch": "RL2",
    "privileged RL": "RL2, privileged",
    "imitation": "RL2, imitation",
    "RL after imitation": "RL2, imitation, then RL",
}


def evaluate(args: Sequence[str]) -> None:
    """Parse the options and evaluate."""
    config = tyro.cli(Evaluate, args=list(args), prog="rl2 evaluate")
    th.set_num_threads(config.threads)
    if config.append_to is not None:
        if config.name is None:
            raise ValueError("--append-to: name the agent with --name, which tells its rows.")
        own_table(config.append_to, SUMMARY)
        own_table(successes_table(config.append_to), KEPT)
    agent = load_agent(config.agent, config.device)
    info = trained_on(agent, config.agent)
    episodes = info["episodes"] if config.episodes is None else config.episodes
    if episodes < 1:
        raise ValueError(f"episodes={episodes}: at least one.")
    if episodes != info["episodes"]:
        print(f"Note: trained on trials of {info['episodes']} episodes, evaluated on {episodes}.")
    name = config.name or NAMES[training(info)]
    tasks, options = evaluation_tasks(info, config.options)
    _check_spaces(agent, tasks, config)
    info = {**info, "options": options}
    trials = config.trials
    if trials is None:
        listed = tasks.all_tasks() if isinstance(tasks, GymTasks) else None
        trials = TRIALS if listed is None else len(listed)
    baselines: dict[str, Baseline] = {
        spec: make_baseline(spec, tasks, episodes) for spec in config.against
    }
    if name in baselines:
        raise ValueError(f"--name {name}: that is a baseline beside it. Give another.")
    agents: dict[str, Predictor] = {name: agent, **baselines}
    results = {
        each: evaluate_trials(
            predictor,
            tasks,
            trials,
            seed=config.seed,
            episodes=episodes,
            deterministic=config.deterministic,
            progress=each,
            workers=config.workers,
        )
        for each, predictor in agents.items()
    }
    exact = {each: baseline.expected_return() for each, baseline in baselines.items()}
    _print(results, exact, name)
    successes = success_rows(results)
    if successes:
        _print_successes(successes)
    out = config.out or played_folder(config.agent)
    out.mkdir(parents=True, exist_ok=True)
    _write(out, results, exact, config, name, info)
    if successes:
        with (out / "successes.csv").open("w", newline="") as file:
            csv.writer(file).writerows([SUCCESSES, *successes])
        if config.append_to is not None:
            conditions = (
                info["task"],
                in_words(options),
                episodes,
                config.deterministic,
                config.seed,
            )
            keep_successes(config.append_to, successes, conditions)
    unit = "pull" if info["task"] == "bandit" else "episode"
    picture = adaptation_curve(out / "adaptation.csv", out / "adaptation.png", unit=unit)
    tables = ["evaluation.csv", "adaptation.csv", *(["successes.csv"] if successes else [])]
    print(f"Tables: {', '.join(str(out / name) for name in tables)}. Picture: {picture}")


def _check_spaces(agent: Agent, tasks: Any, config: Evaluate) -> None:
    """Raise a ValueError where the agent cannot see or act in the tasks."""
    if isinstance(tasks, BatchedTasks):
        space = trial_space(tasks.observation_space, tasks.action_space)
        known: Any = agent.policy.observation_space
        for key, part in space.items():
            seen: Any = part
            if is_image_space(part) and not is_image_space_channels_first(seen):
                seen = VecTransposeImage.transpose_space(seen, key)  # as SB3 does for training
            if known[key] != seen:
                raise ValueError(
                    f"--options {' '.join(config.options)}: {config.agent} was trained with the "
                    f"{key} {known[key]}, not {seen}."
                )


def _print(results: dict[str, Evaluation], exact: dict[str, float | None], ours: str) -> None:
    trials = len(results[ours].returns)
    table = Table(title=f"Return per trial, {trials:,} common trials")
    table.add_column("agent")
    for heading in ("mean", "± s.e.", "exact", "first episode", "last episode"):
        table.add_column(heading, justify="right")
    for name, result in sorted(results.items(), key=lambda item: item[1].mean):
        value = exact.get(name)
        table.add_row(
            name,
            f"{result.mean:.3f}",
            f"{result.standard_error:.3f}",
            "" if value is None else f"{value:.3f}",
            f"{result.returns[:, 0].mean():.3f}",
            f"{result.returns[:, -1].mean():.3f}",
            style="bold" if name == ours else None,
        )
    Console().print(table)


def _print_successes(rows: list[list[str]]) -> None:
    table = Table(title="Episodes that succeed, and the steps that these take")
    for heading in SUCCESSES:
        left = heading == "agent"
        table.add_column(heading.replace("_", " "), justify="left" if left else "right")
    shares = [SUCCESSES.index(name) for name in ("success", "no_longer_than_first")]
    for row in rows:
        table.add_row(
            *(
                f"{float(cell):.1%}" if column in shares and cell else cell
                for column, cell in enumerate(row)
            )
        )
    Console().print(table)


def _write(
    out: Path,
    results: dict[str, Evaluation],
    exact: dict[str, float | None],
    config: Evaluate,
    ours: str,
    info: dict[str, Any],
) -> None:
    rows = [
        [
            info["task"],
            in_words(info["options"]),
            result.returns.shape[1],
            name,
            len(result.returns),
            f"{result.mean:.6g}",
            f"{result.standard_error:.3g}",
            "" if exact.get(name) is None else f"{exact[name]:.6g}",
            config.deterministic,
            config.seed,
            *(info.get(key, "") if name == ours else "" for key in TRAINING),
            version(),
        ]
        for name, result in results.items()
    ]
    with (out / "evaluation.csv").open("w", newline="") as file:
        csv.writer(file).writerows([SUMMARY, *rows])
    with (out / "adaptation.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["agent", "episode", "mean", "standard_error", "trials"])
        for name, result in results.items():
            for episode, returns in enumerate(result.returns.T, start=1):
                row = [f"{returns.mean():.6g}", f"{standard_error(returns):.3g}", len(returns)]
                writer.writerow([name, episode, *row])
    if config.append_to is not None:
        named = [dict(zip(SUMMARY, row, strict=True)) for row in rows]
        merge_table(config.append_to, named, PLAYED, order=lambda _: 0)
