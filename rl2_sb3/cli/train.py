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


def train(args: Sequence[str]) -> None:
    """Parse the options, the task's own among them, and train."""
    name = next((arg for arg in args if not arg.startswith("-")), None)
    preset = _preset(args)
    kind = _with_options(name) if name is not None and name in TASKS else Train
    config: Train = tyro.cli(
        kind,
        args=list(args),
        prog="rl2 train",
        description=Train.__doc__,
        default=kind(**{"task": name or "", **PRESETS[preset], "preset": preset}),
    )
    options = getattr(config, "options", None)
    train_run(
        Run(**{field.name: getattr(config, field.name) for field in dataclasses.fields(Run)}),
        options={} if options is None else _arguments(options),
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


def _with_options(task: str) -> type[Train]:
    """:class:`Train` with the task distribution's own options."""
    tasks = TASKS.load(task)
    return dataclasses.make_dataclass(
        "Train",
        [
            (
                "options",
                Annotated[tasks, tyro.conf.arg(name="")],
                dataclasses.field(default_factory=tasks),
            )
        ],
        bases=(Train,),
        kw_only=True,
    )


def _arguments(tasks: Any) -> dict[str, Any]:
    """The options that a task distribution was made with."""
    return {name: getattr(tasks, name) for name in inspect.signature(type(tasks)).parameters}
