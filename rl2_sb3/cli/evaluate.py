"""``rl2 evaluate``: an agent, beside others, on tasks that it has never seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch as th
import tyro
from stable_baselines3.common.utils import get_device

from rl2_sb3.agent import Agent
from rl2_sb3.cli import entries, evaluation_tables
from rl2_sb3.cli.checks import check_device
from rl2_sb3.cli.entries import Entry, Trials
from rl2_sb3.cli.evaluation_tables import COMPARED, SUMMARY, WORDS, Results, Row
from rl2_sb3.config import Count, Seed, TrackConfig, Workers
from rl2_sb3.evaluation import evaluate_trials
from rl2_sb3.options import flat
from rl2_sb3.plots import adaptation_curve
from rl2_sb3.plots.logs import EVALUATION, write_adaptation
from rl2_sb3.ranges import check_config
from rl2_sb3.signals import Training, training
from rl2_sb3.successes import CONDITIONS, SUCCESSES, check_successes, keep_successes, success_rows
from rl2_sb3.tables import own_table, read_table, write_table
from rl2_sb3.tasks.base import GymTasks
from rl2_sb3.tracking.tracker import Tracker, begin

TRIALS = 10_000


@dataclass(kw_only=True)
class Evaluate(TrackConfig):
    """Evaluate an agent, and others for comparison, on the same tasks with the same noise.

    An agent is a run's folder, an agent's file, the name of an installed agent, or a baseline,
    perhaps with parameters: runs/demo, bandit-k10-n10, random, "ucb1(c=0.1)". The task is that of
    the first trained agent, unless --task names another.

    Prints a table, with a paired t-test of each other agent against the first. Adds the rows to
    OUT/evaluation.csv, where they replace those of the same agent, trials and seed, and writes
    OUT/adaptation.csv and OUT/adaptation.png: the mean return of a trial's first episode, its
    second, and so on. Where episodes succeed or fail, OUT/successes.csv has the success rate, and
    the length of successful episodes; where environments report metrics, OUT/metrics.csv has their
    means by episode.
    """

    agent: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="AGENT")]
    """Agent to evaluate."""
    against: list[str] = field(default_factory=list)
    """Agents to compare it with: random "ucb1(c=0.1)" bandit-k10-n100-imitation runs/other."""
    name: str | None = None
    """Name of the agent in the tables; by default RL2, with a note where it was trained by
    imitation or with privileged information."""
    task: str | None = None
    """Task; by default that of the first trained agent."""
    trials: Count | None = None
    """Number of trials of each agent; by default 10 000, or the length of the list of tasks."""
    options: list[str] = field(default_factory=list)
    """Options of the task, such as size=large; by default those of training, on the tasks that are
    held out for evaluation."""
    episodes: Count | None = None
    """Episodes per trial; by default as many as the first trained agent was trained for."""
    seed: Seed = 0
    """Seed of tasks and noise."""
    deterministic: bool = False
    """Take the most likely action instead of sampling."""
    out: Path | None = None
    """Folder for the tables and the figure; by default the run's, runs/agents/NAME for an installed
    agent, runs/baselines/NAME for a baseline."""
    overwrite: bool = False
    """Replace OUT/evaluation.csv instead of adding rows to it."""
    device: str = "cpu"
    """Device of the networks: cpu, cuda or auto."""
    threads: Count = 1
    """Number of CPU threads."""
    workers: Workers = "in-process"
    """Where Gymnasium environments run."""
    append_to: Path | None = None
    """Another CSV file to add the rows to, such as results/outer_loop.csv; successes go to
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
    check_config(config)
    th.set_num_threads(config.threads)
    check_device(config.device)
    device = str(get_device(config.device))
    trained = entries.load_trained([config.agent, *config.against], device)
    if config.append_to is not None:
        if config.name is None and config.agent in trained:
            raise ValueError("--append-to needs --name: the name tells the rows of agents apart.")
        own_table(config.append_to, [name for name in SUMMARY if name not in COMPARED])
        check_successes(config.append_to)
    trials = entries.trials_of(trained, config.task, config.options, config.episodes)
    for spec, agent in trained.items():
        if (length := agent.info.get("episodes", trials.episodes)) != trials.episodes:
            print(
                f"Note: {spec} was trained on trials of {length} episodes, evaluated on "
                f"{trials.episodes}."
            )
    agents = entries.entries(_names(config, trained), trained, trials)
    played = {"task": trials.task, "episodes": trials.episodes}
    with begin(config, "evaluate", {**trials.options, **flat(config), **played}) as tracker:
        results = _play(config, agents, trials)
        conditions = trials, config.deterministic, config.seed
        rows = evaluation_tables.summary_rows(results, agents, *conditions)
        evaluation_tables.print_means(rows, results)
        successes = success_rows(results)
        if successes:
            evaluation_tables.print_successes(successes)
        metrics = evaluation_tables.metric_rows(results)
        if metrics:
            evaluation_tables.print_metrics(results)
        out = _write(config, results, rows, successes, metrics)
        first = next(iter(results.values()))
        tracker.log({"mean": first.mean, "standard_error": first.standard_error})
        _track(tracker, out, rows, successes, metrics)


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


def _play(config: Evaluate, agents: Mapping[str, Entry], trials: Trials) -> Results:
    n_trials = config.trials
    if n_trials is None:
        listed = trials.tasks.all_tasks() if isinstance(trials.tasks, GymTasks) else None
        n_trials = TRIALS if listed is None else len(listed)
    return {
        name: evaluate_trials(
            entry.agent,
            trials.tasks,
            n_trials,
            seed=config.seed,
            episodes=trials.episodes,
            deterministic=config.deterministic,
            progress=name,
            workers=config.workers,
        )
        for name, entry in agents.items()
    }


def _write(
    config: Evaluate,
    results: Results,
    rows: Sequence[Row],
    successes: Sequence[Sequence[str]],
    metrics: Sequence[Row],
) -> Path:
    """Write all tables, and the picture into the folder that is returned."""
    out = config.out or _folder(config.agent)
    out.mkdir(parents=True, exist_ok=True)
    if config.overwrite:
        (out / "evaluation.csv").unlink(missing_ok=True)
    evaluation_tables.keep_rows(out / "evaluation.csv", rows)
    returns = {name: result.returns for name, result in results.items()}
    write_adaptation(out / "adaptation.csv", returns)
    tables = ["evaluation.csv", "adaptation.csv"]
    if config.append_to is not None:
        evaluation_tables.keep_rows(config.append_to, rows)
    if successes:
        tables.append("successes.csv")
        kept = [dict(zip(SUCCESSES, row, strict=True)) for row in successes]
        write_table(out / "successes.csv", SUCCESSES, kept)
        if config.append_to is not None:
            conditions = [rows[0][name] for name in CONDITIONS]
            keep_successes(config.append_to, successes, conditions)
    if metrics:
        tables.append("metrics.csv")
        write_table(out / "metrics.csv", evaluation_tables.METRICS, metrics)
    picture = adaptation_curve(out / "adaptation.csv", out / "adaptation.png")
    print(f"Tables: {', '.join(str(out / name) for name in tables)}. Picture: {picture}")
    return out


def _track(
    tracker: Tracker,
    out: Path,
    rows: Sequence[Row],
    successes: Sequence[Sequence[str]],
    metrics: Sequence[Row],
) -> None:
    """Log what was written there."""
    numbers = {name: name not in WORDS for name in (*SUMMARY, *EVALUATION, *SUCCESSES)}
    tracker.table("evaluation", {name: numbers[name] for name in SUMMARY}, rows)
    curves = read_table(out / "adaptation.csv", EVALUATION, "")
    tracker.table("adaptation_table", {name: numbers[name] for name in EVALUATION}, curves)
    if successes:
        kept = [dict(zip(SUCCESSES, row, strict=True)) for row in successes]
        tracker.table("successes", {name: numbers[name] for name in SUCCESSES}, kept)
    if metrics:
        told = {name: name not in ("agent", "metric") for name in evaluation_tables.METRICS}
        tracker.table("metrics", told, metrics)
    tracker.picture("adaptation", lambda _: out / "adaptation.png")


def _folder(agent: str) -> Path:
    """Where to write by default what an agent does."""
    if entries.is_baseline(agent):
        return Path("runs", "baselines", agent.partition("(")[0])
    return entries.played_folder(agent)
