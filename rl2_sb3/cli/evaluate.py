"""``rl2 evaluate``: an agent, beside others, on tasks that it has never seen."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch as th
import tyro

from rl2_sb3.agent import Agent
from rl2_sb3.cli.contenders import (
    Contender,
    Trials,
    contenders,
    is_baseline,
    load_trained,
    trials_of,
)
from rl2_sb3.cli.evaluation_tables import (
    SUMMARY,
    Results,
    Row,
    add_columns,
    keep_rows,
    print_means,
    print_successes,
    summary_rows,
    write_adaptation,
)
from rl2_sb3.cli.played import played_folder
from rl2_sb3.config import Workers
from rl2_sb3.evaluation import evaluate_trials
from rl2_sb3.files import whole_table
from rl2_sb3.plots import adaptation_curve
from rl2_sb3.signals import Training, training
from rl2_sb3.successes import (
    KEPT,
    SUCCESSES,
    in_words,
    keep_successes,
    success_rows,
    successes_table,
)
from rl2_sb3.tables import own_table
from rl2_sb3.tasks.base import GymTasks

TRIALS = 10_000


@dataclass(kw_only=True)
class Evaluate:
    """Evaluate an agent, and others beside it, on the same tasks with the same noise.

    An agent is a run's folder, an agent's file, the name of an installed agent, or a baseline with
    its parameters if need be: bandit-k10-n10, random, "ucb1(c=0.1)". What the first trained agent
    was trained for is played, or --task.

    Prints a table, with a paired t-test of each other agent against the first. Keeps the rows in
    OUT/evaluation.csv, in place of those of the same agent, trials and seed, and writes
    OUT/adaptation.csv and the picture OUT/adaptation.png anew: the mean return of a trial's first
    episode, its second, and so on. Where episodes succeed or fail, OUT/successes.csv has how often,
    and how long those take that succeed.
    """

    agent: Annotated[str, tyro.conf.Positional]
    """The agent."""
    against: list[str] = field(default_factory=list)
    """Others beside it: random "ucb1(c=0.1)" bandit-k10-n100-imitation runs/other."""
    name: str | None = None
    """What the tables call the agent; by default RL2, and what it learned from if that was more
    than the paper's information."""
    task: str | None = None
    """The task, where no agent is trained or it is to be another than that of training."""
    trials: int | None = None
    """Trials of each agent; by default 10 000, or all tasks where they are a list."""
    options: list[str] = field(default_factory=list)
    """The task's options, such as size=large, in place of those of training, or of what the task
    distribution holds out for evaluation."""
    episodes: int | None = None
    """Episodes per trial; by default as many as the first trained agent was trained for."""
    seed: int = 0
    """Of tasks and noise."""
    deterministic: bool = False
    """Take the likeliest action instead of sampling."""
    out: Path | None = None
    """Folder for the tables and the picture; by default the agent's, or runs/checkpoints/NAME, or
    runs/baselines/NAME."""
    overwrite: bool = False
    """Begin OUT/evaluation.csv anew: rows of other agents, trials and seeds do not stay."""
    device: str = "cpu"
    """cpu or cuda."""
    threads: int = 1
    """Processor threads."""
    workers: Workers = "in-process"
    """Where Gymnasium environments run."""
    append_to: Path | None = None
    """Table to keep the rows in as well, such as results/outer_loop.csv. Successes go into
    outer_loop-successes.csv beside it."""


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
    trained = load_trained([config.agent, *config.against], config.device)
    if config.append_to is not None:
        if config.name is None and config.agent in trained:
            raise ValueError("--append-to: name the agent with --name, which tells its rows.")
        add_columns(config.append_to, SUMMARY)
        own_table(config.append_to, SUMMARY)
        own_table(successes_table(config.append_to), KEPT)
    trials = trials_of(trained, config.task, config.options, config.episodes)
    for spec, agent in trained.items():
        if (length := agent.info.get("episodes", trials.episodes)) != trials.episodes:
            print(
                f"Note: {spec} was trained on trials of {length} episodes, evaluated on "
                f"{trials.episodes}."
            )
    agents = contenders(_names(config, trained), trained, trials)
    results = _play(config, agents, trials)
    rows = summary_rows(results, agents, trials, config.deterministic, config.seed)
    print_means(rows, results)
    successes = success_rows(results)
    if successes:
        print_successes(successes)
    _write(config, trials, results, rows, successes)


def _names(config: Evaluate, trained: Mapping[str, Agent]) -> dict[str, str]:
    """The agents by what tables call them, the first first."""
    ours = config.name or config.agent
    if config.name is None and config.agent in trained:
        ours = NAMES[training(trained[config.agent].info)]
    names = {ours: config.agent}
    for spec in config.against:
        if spec in names:
            raise ValueError(
                f"Two agents would be called {spec!r}. Give another --name, or name each once."
            )
        names[spec] = spec
    return names


def _play(config: Evaluate, agents: Mapping[str, Contender], trials: Trials) -> Results:
    n_trials = config.trials
    if n_trials is None:
        listed = trials.tasks.all_tasks() if isinstance(trials.tasks, GymTasks) else None
        n_trials = TRIALS if listed is None else len(listed)
    return {
        name: evaluate_trials(
            contender.agent,
            trials.tasks,
            n_trials,
            seed=config.seed,
            episodes=trials.episodes,
            deterministic=config.deterministic,
            progress=name,
            workers=config.workers,
        )
        for name, contender in agents.items()
    }


def _write(
    config: Evaluate,
    trials: Trials,
    results: Results,
    rows: Sequence[Row],
    successes: Sequence[Sequence[str]],
) -> None:
    out = config.out or _folder(config.agent)
    out.mkdir(parents=True, exist_ok=True)
    if config.overwrite:
        (out / "evaluation.csv").unlink(missing_ok=True)
    keep_rows(out / "evaluation.csv", rows)
    write_adaptation(out / "adaptation.csv", results)
    tables = ["evaluation.csv", "adaptation.csv"]
    if config.append_to is not None:
        keep_rows(config.append_to, rows)
    if successes:
        tables.append("successes.csv")
        with whole_table(out / "successes.csv") as file:
            csv.writer(file).writerows([SUCCESSES, *successes])
        if config.append_to is not None:
            played = trials.task, in_words(trials.options), trials.episodes
            conditions = *played, config.deterministic, config.seed
            keep_successes(config.append_to, successes, conditions)
    picture = adaptation_curve(out / "adaptation.csv", out / "adaptation.png")
    print(f"Tables: {', '.join(str(out / name) for name in tables)}. Picture: {picture}")


def _folder(agent: str) -> Path:
    """Where to write by default what an agent does."""
    if is_baseline(agent):
        return Path("runs", "baselines", agent.partition("(")[0])
    return played_folder(agent)
