"""``rl2 train``: train an agent on a task distribution."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from rl2_sb3.presets import PRESETS, run_folder
from rl2_sb3.registry import TASKS, did_you_mean
from rl2_sb3.runs import Run, train_run


@dataclass(kw_only=True)
class Train(Run):
    """Train an agent.

    Ends with the agent in OUT/agent.safetensors and the learning curve in OUT/learning_curve.png;
    on the way there, OUT/progress.csv and TensorBoard's files grow, and OUT/checkpoint.zip is
    renewed every few minutes.
    """

    out: Path = Path("runs/latest")
    """Folder of the run."""
    preset: Annotated[Literal[tuple(PRESETS)], tyro.conf.arg(metavar="NAME")] = "default"  # type: ignore[valid-type]
    """Settings to begin with; `paper` has those of Duan et al. 2016, `bandit-k10-n100` and others
    those of an agent that comes with rl2-checkpoints (`rl2 train --preset list` shows all)."""
    resume: bool = False
    """Go on from the last checkpoint in the folder, if there is one."""
    overwrite: bool = False
    """Begin anew in a folder that holds a run."""
    minutes_between_checkpoints: float = 2.0
    """A kill costs at most so much work."""
    progress: bool = True
    """Show a progress bar."""


def task_options(
    command: str,
    base: type[Any],
    args: Sequence[str],
    task: str | None = None,
    options: dict[str, Any] | None = None,
    **preset: Any,
) -> tuple[Any, dict[str, Any]]:
    """Parse a command's options and, in one parser with them, those of the task that it names.

    :param task: where none is named
    :param options: of that task, where they are not given
    :param preset: the command's own, where they are not given
    :return: the configuration, and the task's options
    """
    named = next((arg for arg in args if arg in TASKS), task)
    if options and named != task:
        raise ValueError(f"The preset {preset.get('preset')} is of {task}, not of {named}.")
    default: dict[str, Any] = {"task": task or tyro.MISSING, **preset}
    if named is not None:
        default["options"] = TASKS.load(named)(**options) if options else tyro.MISSING_NONPROP
    kind = base if named is None else _with_options(base, named)
    config = tyro.cli(
        kind,
        args=list(args),
        prog=f"rl2 {command}",
        description=inspect.getdoc(base),
        default=kind(**default),
    )
    given = getattr(config, "options", None)
    return config, {} if given is None else _arguments(given)


def train(args: Sequence[str]) -> None:
    """Parse the options, the task's own among them, and train."""
    preset = _preset(args)
    settings = {"preset": preset, **PRESETS[preset]}
    after = settings.pop("after", None)
    if "task" in settings:
        settings["out"] = run_folder(preset)
    config, options = task_options("train", Train, args, **settings)
    if after is not None and config.init is None:
        config.init = _trained(after, config)
    train_run(
        Run(**{field.name: getattr(config, field.name) for field in dataclasses.fields(Run)}),
        options,
        out=config.out,
        resume=config.resume,
        overwrite=config.overwrite,
        minutes_between_checkpoints=config.minutes_between_checkpoints,
        progress=config.progress,
    )


def _trained(preset: str, config: Train) -> Path:
    """The folder of a preset's run, which is trained now unless it is there."""
    folder = run_folder(preset)
    if not (folder / "agent.safetensors").exists():
        print(f"First its beginning: rl2 train --preset {preset}")
        same = [f"--{name}={getattr(config, name)}" for name in ("seed", "device", "threads")]
        same.append("--progress" if config.progress else "--no-progress")
        train(["--preset", preset, "--resume", *same])
    return folder


def _preset(args: Sequence[str]) -> str:
    """The preset must be known before the options are: it sets their defaults."""
    for i, arg in enumerate(args):
        if arg.startswith("--preset"):
            name = arg.partition("=")[2] or next(iter(args[i + 1 :]), "")
            if name in PRESETS:
                return name
            if name == "list":
                print("\n".join(PRESETS))
                sys.exit()
            sys.exit(
                f"rl2 train: no preset {name!r}.{did_you_mean(name, list(PRESETS))} "
                f"There are: {', '.join(PRESETS)}."
            )
    return "default"


def _with_options(base: type[Any], task: str) -> type[Any]:
    """A command's options with those of the task distribution.

    :raises ValueError: an option of the task has the name of one of the command's
    """
    tasks = TASKS.load(task)
    common = {field.name for field in dataclasses.fields(base)}
    taken = sorted(common & set(inspect.signature(tasks).parameters))
    if taken:
        raise ValueError(
            f"{task} has options with names that the command line takes itself: "
            f"{', '.join(taken)}. Rename them in the plugin, or train it from Python."
        )
    return dataclasses.make_dataclass(
        base.__name__,
        [("options", Annotated[tasks, tyro.conf.arg(name="")])],
        bases=(base,),
        kw_only=True,
    )


def _arguments(tasks: Any) -> dict[str, Any]:
    """The options that a task distribution was made with.

    :raises ValueError: it does not keep them
    """
    names = inspect.signature(type(tasks)).parameters
    for name in names:
        if name not in vars(tasks):
            raise ValueError(
                f"{type(tasks).__name__} does not keep its option {name!r} as an attribute: make "
                "it a dataclass."
            )
    return {name: getattr(tasks, name) for name in names}
