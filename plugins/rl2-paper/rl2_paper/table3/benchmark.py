"""Playing Table 3: trained agents in mazes, a plan that knows them, and random play."""

from __future__ import annotations

from pathlib import Path

import torch as th

from rl2_paper.benchmark import tell_missing, tell_report
from rl2_paper.cache import Played, check_training, keep, play_all, read_played
from rl2_paper.jobs import Job, find_jobs
from rl2_paper.options import BenchmarkOptions
from rl2_paper.table3.lineup import REFERENCE_MAZES, REFERENCES, TABLE3
from rl2_sb3.agent import load_agent
from rl2_sb3.evaluation import Evaluation, evaluate_trials
from rl2_sb3.provenance import version
from rl2_sb3.registry import TASKS, installing
from rl2_sb3.successes import check_successes, in_words, keep_successes, success_rows
from rl2_sb3.tables import merge_table, own_table

COLUMNS = (
    *("task", "options", "episodes", "agent", "trials", "mean", "standard_error", "exact"),
    *("deterministic", "seed", "steps_trained", "seconds", "hardware", "teacher", "version"),
)
KEY = ("task", "options", "episodes", "agent", "trials", "deterministic", "seed")
TRAINING = ("steps", "seconds", "hardware", "teacher")


def run(config: BenchmarkOptions) -> None:
    """Play, and write returns, and how often and after how many steps the goal was found."""
    if TABLE3.task not in TASKS:
        raise ValueError(f"The mazes are missing: {installing('plugins/rl2-vizdoom')}.")
    path = config.out / f"{TABLE3.name}.csv"
    own_table(path, COLUMNS)  # or an error, before all the work
    check_successes(path)
    trials = TABLE3.trials if config.trials is None else config.trials
    cells = config.cells or [cell.name for cell in TABLE3.cells]
    agents = config.agents or [entry.name for entry in TABLE3.lineup]
    found, missing = find_jobs(TABLE3, cells, agents, trials, config.seed, config.sweeps)
    tell_missing(list(dict.fromkeys(missing)))
    jobs = [_of_its_mazes(job) for job in found]
    workers = 1  # an evaluation has its engines in threads
    play_all(jobs, config.cache_folder, workers, config.overwrite, play_mazes)
    for job in jobs:
        played = read_played(job, config.cache_folder)
        assert played is not None
        _write(path, job, played)
    tell_report(config)


def _of_its_mazes(job: Job) -> Job:
    """A reference plays no more mazes than the report takes."""
    most = REFERENCE_MAZES[job.cell.name] if job.spec in REFERENCES else job.trials
    return job._replace(trials=min(job.trials, most))


def play_mazes(job: Job, cache: Path) -> None:
    """Play a job and keep it.

    :raises ValueError: an agent of another task, or another training, than its name says
    """
    th.set_num_threads(1)
    tasks, info = job.tasks(), {}
    if job.file is None:
        from rl2_vizdoom.references import planned, random_play

        if job.spec == "plan":
            result: Evaluation = planned(tasks, job.trials)
        else:
            result = random_play(tasks, job.trials, job.seed)
    else:
        agent = load_agent(job.file)
        info = agent.info
        if info.get("task") != job.task:
            raise ValueError(
                f"Agent {job.spec!r} was trained on {info.get('task')}, not on {job.task}: give "
                "the right file that name."
            )
        check_training(agent, job)
        result = evaluate_trials(
            agent,
            tasks,
            job.trials,
            seed=job.seed,
            episodes=job.cell.episodes,
            progress=f"{job.entry.name} {job.cell.name}",
            workers="threads",
        )
    keep(job, Played(result, None, None, info, version()), cache)


def _write(path: Path, job: Job, played: Played) -> None:
    """Put a job's rows into the tables, in place of those of the same trials."""
    options = dict(job.options)
    words = in_words({"size": options.pop("size"), **options})
    result, episodes = played.result, played.result.returns.shape[1]
    conditions = job.task, words, episodes, False, job.seed
    rows = success_rows({job.entry.name: result})
    keep_successes(path, rows, conditions, played.version)
    if job.file is None:
        return
    values = (
        *(job.task, words, episodes, job.entry.name, len(result.returns)),
        *(f"{result.mean:.6g}", f"{result.standard_error:.3g}", "", False, job.seed),
        *(played.info.get(key, "") for key in TRAINING),
        played.version,
    )
    merge_table(path, [dict(zip(COLUMNS, values, strict=True))], KEY)
