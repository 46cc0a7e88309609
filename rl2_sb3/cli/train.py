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

from rl2_sb3.presets import PRESETS
from rl2_sb3.registry import TASKS, did_you_mean
from rl2_sb3.runs import Run, train_run

MISSING = {"options": tyro.MISSING_NONPROP}


@dataclass(kw_only=True)
class Train(Run):
    """Train an agent.

    Ends with the agent in OUT/agent.safetensors and the learning curve in OUT/learning_curve.png;
    on the way there, OUT/progress.csv and TensorBoard's files grow, and OUT/checkpoint.zip is
    renewed every few minutes.
    """

    out: Path = Path("runs/latest")
    """Folder of the run."""
    preset: Literal[tuple(PRESETS)] = "default"  # type: ignore[valid-type]
    """Settings to begin with; `paper` has those of Duan et al. 2016."""
    resume: bool = False
    """Go on from the last checkpoint in the folder, if there is one."""
    overwrite: bool = False
    """Begin anew in a folder that holds a run."""
    minutes_between_checkpoints: float = 2.0
    """A kill costs at most so much work."""
    progress: bool = True
    """Show a progress bar."""


def task_options(
    command: str, base: type[Any], args: Sequence[str], **preset: Any
) -> tuple[Any, dict[str, Any]]:
    """Parse a command's options and, in one parser with them, those of the task that it names.

    :return: the configuration, and the task's options
    """
    task = next((arg for arg in args if arg in TASKS), None)
    kind = base if task is None else _with_options(base, task)
    config = tyro.cli(
        kind,
        args=list(args),
        prog=f"rl2 {command}",
        description=inspect.getdoc(base),
        default=kind(task=tyro.MISSING, **preset, **({} if task is None else MISSING)),
    )
    options = getattr(config, "options", None)
    return config, {} if options is None else _arguments(options)


def train(args: Sequence[str]) -> None:
    """Parse the options, the task's own among them, and train."""
    preset = _preset(args)
    config, options = task_options("train", Train, args, preset=preset, **PRESETS[preset])
    train_run(
        Run(**{field.name: getattr(config, field.name) for field in dataclasses.fields(Run)}),
        options,
        out=config.out,
        resume=config.resume,
        overwrite=config.overwrite,
        minutes_between_checkpoints=config.minutes_between_checkpoints,
        progress=config.progress,
    )


def _preset(args: Sequence[str]) -> str:
    """The preset must be known before the options are: it sets their defaults."""
    for i, arg in enumerate(args):
        if arg.startswith("--preset"):
            name = arg.partition("=")[2] or next(iter(args[i + 1 :]), "")
            if name in PRESETS:
                return name
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
