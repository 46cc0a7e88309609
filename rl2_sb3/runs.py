"""A training run and its folder: configuration, logs, checkpoints, agent, learning curve."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch as th
import tyro
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, make_output_format
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.utils import LinearSchedule

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.policies import Candidate, Precision, ValueNetwork
from rl2_sb3.provenance import hardware, version
from rl2_sb3.reports import learning_curve
from rl2_sb3.reports.logs import UNSHOWN
from rl2_sb3.transfer import take_weights
from rl2_sb3.trials.make import Workers, make_tasks, make_trials, rollout_size

FILES = (
    *("config.json", "checkpoint.zip*", "agent.safetensors*", "learning_curve.png", "watch.gif"),
    *("progress*.csv", "events.out.tfevents.*", "evaluation.csv", "successes.csv", "adaptation.*"),
)


def whole(text: str) -> int:
    """A whole number, written as 1000000, 1_000_000 or 1e6."""
    number = float(text)
    if not number.is_integer():
        raise ValueError(f"{text} is not a whole number")
    return int(number)


Whole = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda words: whole(words[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""For steps, which people write as 1e6."""

ALGORITHMS: dict[str, type[RL2PPO] | type[RL2TRPO]] = {"ppo": RL2PPO, "trpo": RL2TRPO}


@dataclass(kw_only=True)
class Setting:
    """What is learned, and by which network."""

    task: tyro.conf.Positional[str]
    """A task distribution's name, or a Gymnasium id."""
    episodes: int = 10
    """Episodes per trial."""
    seed: int = 0
    """Of tasks, noise, initial weights and actions."""
    device: str = "auto"
    """cpu, cuda, or auto."""
    threads: int = 1
    """Processor threads. Small networks are fastest with one: try more from 256 units on."""
    policy: Literal["GRUPolicy", "CnnGRUPolicy"] = "GRUPolicy"
    """CnnGRUPolicy is for images."""
    hidden_size: int = 64
    """Units of the GRU."""
    candidate: Candidate = "tanh"
    """Activation of the GRU's candidate state."""
    shared: bool = False
    """One network for policy and value."""
    value_network: ValueNetwork = "gru"
    """A GRU like the policy's, or layers over sums of what the trial has shown: cheaper, and sooner
    right for bandits."""
    weight_norm: bool = False
    """Weight normalisation."""
    episode_units: int = 0
    """So many units are reset at each episode's start as well."""
    precision: Precision = "fp32"
    """Of the GRU's products."""
    layers_after: tuple[int, ...] = ()
    """Widths of the dense layers between the GRU and the heads."""
    skip: bool = False
    """Let those layers see the features too: the present step can choose what to read from the
    memory."""
    memory_steps: int = 0
    """Begin with units that remember over 2 to so many steps, such as a trial's length; by default
    all forget half at each step."""
    action_reward: bool = True
    """Feed the product of the last action and its reward as well (not with images)."""
    state_action: bool = False
    """Remember the last observation, and feed its product with the last action as well, alone and
    times the reward: for small MDPs."""

    def network(self) -> dict[str, Any]:
        """The policy's keyword arguments."""
        names = (
            *("hidden_size", "candidate", "shared", "value_network", "weight_norm"),
            *("episode_units", "precision", "skip", "memory_steps"),
        )
        kwargs: dict[str, Any] = {name: getattr(self, name) for name in names}
        kwargs["layers_after"] = list(self.layers_after)
        products = {"action_reward": self.action_reward, "state_action": self.state_action}
        if self.policy == "GRUPolicy":
            kwargs["features_extractor_kwargs"] = products
        elif self.state_action:
            raise ValueError(
                f"--state-action is for small MDPs: {self.policy} has no such products."
            )
        return kwargs


@dataclass(kw_only=True)
class Run(Setting):
    """What determines a run; its folder keeps it as ``config.json``."""

    steps: Whole = 1_000_000
    """Environment steps to train for, over all trials."""
    n_envs: int | None = None
    """Trials that run at once, columns of a rollout; by default 500 for arrays, else 8."""
    steps_per_rollout: int | None = None
    """Choose n_envs so that a rollout has about so many steps, where trials have one length."""
    workers: Workers = "in-process"
    """Where Gymnasium environments run: in one thread, in threads (for simulators that do not need
    Python meanwhile), or each in a process."""
    algorithm: Literal["ppo", "trpo"] = "ppo"
    """RL2PPO, or RL2TRPO with the paper's first-order step."""
    learning_rate: float = 3e-3
    """Of Adam."""
    lr_decay: bool = True
    """Let the learning rate fall linearly to a hundredth over the run."""
    gamma: float = 1.0
    """Discount."""
    gae_lambda: float = 0.5
    """Of generalised advantage estimation."""
    value_lambda: float | None = None
    """The same for the returns that the value network learns from; by default --gae-lambda."""
    privileged: bool = False
    """Learn from what the task distribution tells in the reward's place, such as its expectation;
    with tasks as arrays, the value network sees the task as well. The agent sees neither."""
    clip_range: float = 0.2
    """Of the surrogate's ratio."""
    n_epochs: int = 5
    """Passes over each rollout."""
    n_steps: int | None = None
    """Length of a rollout; by default a whole trial where all have one length."""
    init: Path | None = None
    """A run's folder to take the initial weights from; its task may have had fewer actions."""
    trials_per_batch: int | None = None
    """Columns of a minibatch; by default a quarter of them."""
    ent_coef: float = 0.01
    """Weight of the entropy bonus."""
    ent_decay: bool = True
    """Let that weight fall linearly to zero over the run."""
    target_kl: float | None = None
    """Bound on an update's mean KL divergence, 0.01 by default, for trpo; for ppo SB3's early
    stop, none by default."""


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
    config = {**asdict(run), "init": run.init and str(run.init), "options": options}
    config = json.loads(json.dumps(config))
    check_folder(out, config, resume, overwrite)
    checkpoint = out / "checkpoint.zip"
    th.set_num_threads(run.threads)
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
            checkpoint, trials, device=run.device, force_reset=False
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
    print(
        f"{model.num_timesteps:,} steps, {model.num_timesteps - before:,} of them now in "
        f"{model.seconds - seconds:.0f} s on {hardware(model.device)}. Agent: {agent}, "
        f"learning curve: {curve}"
    )
    return agent


def store_agent(model: RL2PPO | RL2TRPO, out: Path, config: dict[str, Any]) -> Path:
    """Write the agent's file, with what is worth knowing of the run."""
    agent = out / "agent.safetensors"
    told = ("task", "options", "episodes", "algorithm", "teacher", "init", "seed")
    model.save_agent(
        agent,
        **{key: config[key] for key in told if config.get(key) is not None},
        hardware=hardware(model.device),
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


def check_folder(out: Path, config: dict[str, Any], resume: bool, overwrite: bool) -> None:
    """See that a folder is ours to write into, before any work is done.

    :param config: as JSON holds it
    :raises ValueError: the folder holds a run that is to be kept, or one with other settings
    """
    check_free(out, resume, overwrite)
    path = out / "config.json"
    if not path.exists() or not resume:
        return
    before = json.loads(path.read_text())
    differing = [
        f"{key}: {before[key]} then, {value} now"
        for key, value in config.items()
        if key not in UNSHOWN and key in before and before[key] != value
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
