"""A training run and its folder: configuration, logs, checkpoints, agent, learning curve."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, make_output_format
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.utils import LinearSchedule

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.plots import learning_curve
from rl2_sb3.plots.logs import UNSHOWN
from rl2_sb3.provenance import hardware, version
from rl2_sb3.settings import Run, Setting
from rl2_sb3.transfer import take_weights
from rl2_sb3.trials.make import make_tasks, make_trials, rollout_size

FILES = (
    *("config.json", "checkpoint.zip*", "agent.safetensors*", "learning_curve.png", "watch.gif"),
    *("progress*.csv", "events.out.tfevents.*", "evaluation.csv", "successes.csv", "adaptation.*"),
)
ALGORITHMS: dict[str, type[RL2PPO] | type[RL2TRPO]] = {"ppo": RL2PPO, "trpo": RL2TRPO}


def train_run(
    run: Run,
    options: dict[str, Any],
    out: Path,
    resume: bool = False,
    overwrite: bool = False,
    minutes_between_checkpoints: float = 2.0,
    progress: bool = True,
) -> Path:
    """Train in a folder, or go on there.

    :param options: of the task distribution
    :param out: the run's folder
    :return: the agent's file
    :raises ValueError: a folder in use, another run's checkpoint, settings that make no run
    """
    if run.steps < 1:
        raise ValueError(f"steps={run.steps}: at least 1.")
    for name in ("gamma", "gae_lambda", "value_lambda"):
        if not 0 <= (getattr(run, name) or 0) <= 1:
            raise ValueError(f"{name}={getattr(run, name)}: from 0 to 1.")
    config = {**asdict(run), "init": run.init and str(run.init), "options": options}
    config = json.loads(json.dumps(config))
    check_folder(out, config, resume, overwrite, Run)
    checkpoint = out / "checkpoint.zip"
    trials = make_trials(
        run.task,
        _columns(run, options),
        run.episodes,
        workers=run.workers,
        privileged=run.privileged,
        **options,
    )
    if resume and checkpoint.exists():
        model = ALGORITHMS[run.algorithm].load(
            checkpoint, trials, device=run.device, force_reset=False, threads=run.threads
        )
    else:
        model = _make_model(run, trials)
        if run.init is not None:
            take_weights(model, run.init)
    claim(out, config, resume)
    model.set_logger(make_logger(out))
    before = model.num_timesteps
    remaining = run.steps - before
    seconds = model.seconds
    if remaining > 0:
        try:
            model.learn(
                remaining,
                callback=SaveEvery(checkpoint, 60 * minutes_between_checkpoints),
                reset_num_timesteps=model.num_timesteps == 0,
                progress_bar=progress,
            )
        except KeyboardInterrupt:
            hint = "before the first checkpoint: nothing is saved."
            if checkpoint.exists():
                hint = f"Add --resume to go on from the last checkpoint, {checkpoint}."
            print(f"\nInterrupted. {hint}", file=sys.stderr)
            raise
        model.save(checkpoint)
    model.logger.close()
    trials.close()
    agent = store_agent(model, out, config)
    try:
        curve = str(learning_curve([out], out / "learning_curve.png"))
    except ValueError as error:  # no trial was over yet
        curve = f"none ({error})"
    machine = hardware(model.device, max(model.learning_threads()))
    print(
        f"{model.num_timesteps:,} steps, {model.num_timesteps - before:,} of them now in "
        f"{model.seconds - seconds:.0f} s on {machine}. Agent: {agent}, "
        f"learning curve: {curve}"
    )
    return agent


def store_agent(model: RL2PPO | RL2TRPO, out: Path, config: dict[str, Any]) -> Path:
    """Write the agent's file, with what is worth knowing of the run."""
    agent = out / "agent.safetensors"
    told = ("task", "options", "episodes", "algorithm", "teacher", "init", "seed")
    if_set = ("privileged", "student_share", "cost_weight")
    model.save_agent(
        agent,
        **{key: config[key] for key in told if config.get(key) is not None},
        **{key: config[key] for key in if_set if config.get(key)},
        hardware=hardware(model.device, max(model.learning_threads())),
        version=version(),
    )
    return agent


def check_free(out: Path, resume: bool, overwrite: bool) -> None:
    """See that a folder's run is not lost by mistake.

    :raises ValueError: the folder holds a run that is neither to be resumed nor overwritten
    """
    if (out / "config.json").exists() and not resume and not overwrite:
        raise ValueError(
            f"{out} holds a run. Add --resume to go on with it, --overwrite to begin anew, or "
            "name another folder with --out."
        )


def check_folder(
    out: Path, config: dict[str, Any], resume: bool, overwrite: bool, kind: type[Setting]
) -> None:
    """See that a folder is ours to write into, before any work is done.

    :param config: as JSON holds it
    :param kind: whose fields the configuration has; one that the folder's run did not know yet had
        the default's effect
    :raises ValueError: the folder holds a run that is to be kept, or one with other settings
    """
    check_free(out, resume, overwrite)
    path = out / "config.json"
    if not path.exists() or not resume:
        return
    before = {field.name: field.default for field in fields(kind)}
    before |= json.loads(path.read_text())
    differing = [
        f"{key}: {before[key]} then, {value} now"
        for key, value in config.items()
        if key not in UNSHOWN and before.get(key, MISSING) not in (MISSING, value)
    ]
    if differing:
        raise ValueError(
            f"{out} holds a run with other settings ({'; '.join(differing)}). Give the same "
            "options again, or name another folder with --out."
        )


def claim(out: Path, config: dict[str, Any], resume: bool) -> None:
    """Write the configuration into a folder; a run there that is not resumed goes, nothing else.

    :param config: as JSON holds it
    """
    path = out / "config.json"
    if path.exists() and not resume:
        for pattern in FILES:
            for file in out.glob(pattern):
                file.unlink()
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=2) + "\n")


def _columns(run: Run, options: dict[str, Any]) -> int | None:
    if run.steps_per_rollout is None or run.n_envs is not None:
        return run.n_envs
    horizon: int | None = getattr(make_tasks(run.task, **options), "horizon", None)
    if horizon is None:
        raise ValueError(f"The trials of {run.task} differ in length: give n_envs and n_steps.")
    return max(1, run.steps_per_rollout // (horizon * run.episodes))


def _make_model(run: Run, trials: Any) -> RL2PPO | RL2TRPO:
    kind = ALGORITHMS[run.algorithm]
    n_steps, batch_size = rollout_size(trials, run.n_steps, None)
    if run.trials_per_batch is not None:
        batch_size = run.trials_per_batch * n_steps
    images = [key for key, part in trials.observation_space.items() if is_image_space(part)]
    if images and run.policy == "GRUPolicy":
        print(
            f"Note: GRUPolicy flattens images ({', '.join(images)}); CnnGRUPolicy has convolutions "
            "(--policy CnnGRUPolicy).",
            file=sys.stderr,
        )
    rate = run.learning_rate
    kwargs: dict[str, Any] = {} if run.target_kl is None else {"target_kl": run.target_kl}
    return kind(
        run.policy,
        trials,
        learning_rate=LinearSchedule(rate, rate / 100, 1.0) if run.lr_decay else rate,
        n_steps=n_steps,
        batch_size=batch_size,
        n_epochs=run.n_epochs,
        gamma=run.gamma,
        gae_lambda=run.gae_lambda,
        value_lambda=run.value_lambda,
        clip_range=run.clip_range,
        ent_coef=LinearSchedule(run.ent_coef, 0.0, 1.0) if run.ent_decay else run.ent_coef,
        policy_kwargs=run.network(),
        seed=run.seed,
        device=run.device,
        threads=run.threads,
        **kwargs,
    )


def make_logger(out: Path) -> Logger:
    """SB3's logger; a resumed run gets files of its own, since the CSV one would be overwritten."""
    part = len(list(out.glob("progress*.csv"))) + 1
    suffix = "" if part == 1 else f"-{part}"
    formats = [make_output_format(kind, str(out), suffix) for kind in ("csv", "tensorboard")]
    return Logger(str(out), formats)


class SaveEvery(BaseCallback):
    """Saves the model before a rollout whenever so many seconds have passed."""

    def __init__(self, path: Path, seconds: float):
        super().__init__()
        self.path = path
        self.seconds = seconds
        self._last = -math.inf  # the first is written after the first rollout

    def _on_step(self) -> bool:
        return True

    def _on_training_start(self) -> None:
        self._begin = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        due = time.monotonic() - self._last >= self.seconds
        if due and self.model.num_timesteps > self._begin:
            self.model.save(self.path)
            self._last = time.monotonic()
