"""``rl2 imitate``: learn a baseline's algorithm by supervision."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from rl2_sb3.algorithms import RL2PPO
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.cli.options import beginning, preset_settings, task_options
from rl2_sb3.imitation import batches_of_a_round, check_cost_weight, check_teacher, students_columns
from rl2_sb3.imitation import imitate as imitate_teacher
from rl2_sb3.plots import imitation_curve
from rl2_sb3.plots.logs import KL, read_progress
from rl2_sb3.provenance import hardware
from rl2_sb3.runs import check_folder, check_free, claim, make_logger, store_agent
from rl2_sb3.settings import Setting
from rl2_sb3.transfer import take_weights
from rl2_sb3.trials.make import make_tasks, make_trials


@dataclass(kw_only=True)
class Imitation(Setting):
    """What determines a run of imitation; its folder keeps it as ``config.json``."""

    teacher: str = "greedy"
    """A baseline, with its parameters if need be: "ucb1(c=0.2)"."""
    batches: int = 3000
    """Minibatches, each of new trials."""
    trials_per_batch: int = 128
    """Trials in each."""
    n_envs: int | None = None
    """Trials that the teacher plays at once, by default those of a minibatch. A slow teacher is
    faster with more."""
    student_share: float = 0.0
    """Share of the trials that the student plays itself while the teacher says what it would do
    (DAgger): it learns what to do where its own mistakes lead."""
    cost_weight: float = 0.0
    """Weight, 0 to 1, of what the student's choices cost in the teacher's plan, in units of reward,
    against one minus it of the cross-entropy, in nats, to which all mistakes are alike. For
    teachers that plan."""
    learning_rate: float = 2e-3
    """Of Adam, falling to zero along a cosine."""
    gamma: float = 1.0
    """Discount of the value network's returns."""
    init: Path | None = None
    """A run's folder, an agent's file or a checkpoint's name to take the initial weights from; its
    task may have had fewer actions."""


@dataclass(kw_only=True)
class Imitate(Imitation):
    """Learn a baseline's algorithm by supervision, on fresh trials that the baseline plays.

    Ends with the agent in OUT/agent.safetensors, the divergence from the teacher in
    OUT/learning_curve.png, and OUT/checkpoint.zip, which `rl2 train --init OUT` goes on from with
    reinforcement learning.
    """

    out: Path = Path("runs/imitation")
    """Folder of the run."""
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "default"
    """Settings to begin with: a preset's name, as `--preset list` shows them, or a YAML file."""
    resume: bool = False
    """Go on from the last checkpoint in the folder, if there is one."""
    overwrite: bool = False
    """Begin anew in a folder that holds a run."""
    minutes_between_checkpoints: float = 2.0
    """A kill costs at most so much work."""
    progress: bool = True
    """Show a progress bar."""


def imitate(args: Sequence[str]) -> None:
    """Parse the options and learn."""
    settings, after = preset_settings("imitate", args)
    given, options = task_options("imitate", Imitate, args, **settings)
    check_free(given.out, given.resume, given.overwrite)
    if after is not None and given.init is None:
        given.init = beginning(after, given, {"imitate": imitate})
    names = [field.name for field in dataclasses.fields(Imitation)]
    config: dict[str, Any] = {name: getattr(given, name) for name in names}
    config |= {"init": given.init and str(given.init), "options": options}
    config = json.loads(json.dumps(config))
    check_folder(given.out, config, given.resume, given.overwrite, Imitation)
    checkpoint = given.out / "checkpoint.zip"
    tasks = make_tasks(given.task, **options)
    teacher: Any = make_baseline(given.teacher, tasks, given.episodes)
    columns = given.trials_per_batch if given.n_envs is None else given.n_envs
    batches_of_a_round(columns, given.trials_per_batch, given.batches)  # or an error, at once
    students_columns(columns, given.student_share)  # the same
    check_cost_weight(given.cost_weight)
    check_teacher(teacher, costs=given.cost_weight > 0)
    trials = make_trials(tasks, columns, given.episodes)
    if given.resume and checkpoint.exists():
        model = RL2PPO.load(
            checkpoint, trials, device=given.device, force_reset=False, threads=given.threads
        )
    else:
        model = RL2PPO(
            given.policy,
            trials,
            gamma=given.gamma,
            policy_kwargs=given.network(),
            seed=given.seed,
            device=given.device,
            threads=given.threads,
        )
        if given.init is not None:
            take_weights(model, given.init)
    claim(given.out, config, given.resume)
    model.set_logger(make_logger(given.out))
    saved = time.monotonic()

    def save_sometimes() -> None:
        nonlocal saved
        if time.monotonic() - saved >= 60 * given.minutes_between_checkpoints:
            model.save(checkpoint)
            saved = time.monotonic()

    with model.stopwatch():
        imitate_teacher(
            model,
            teacher,
            given.batches,
            given.trials_per_batch,
            given.learning_rate,
            given.seed,
            given.student_share,
            given.cost_weight,
            on_round=save_sometimes,
            progress=given.progress,
        )
    model.logger.close()
    model.save(checkpoint)
    agent = store_agent(model, given.out, config)
    try:
        curve = str(imitation_curve(given.out, given.out / "learning_curve.png"))
        divergence = f"{read_progress(given.out, KL).y[-1]:.4f} nats per step"
    except ValueError as error:  # its log is damaged, or began before it had steps
        curve = divergence = f"unknown ({error})"
    machine = hardware(model.device, max(model.learning_threads()))
    print(
        f"{model.num_timesteps:,} steps, {model.seconds:.0f} s on {machine}. "
        f"KL divergence from the teacher, {given.teacher}: {divergence}. Agent: {agent}, learning "
        f"curve: {curve}. To go on by reinforcement learning: rl2 train ... --init {given.out}"
    )
