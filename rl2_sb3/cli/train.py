"""``rl2 train``: train an agent on a task distribution."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rl2_sb3.cli.imitate import imitate
from rl2_sb3.cli.options import beginning, preset_settings, task_options
from rl2_sb3.runs import check_free, train_run
from rl2_sb3.settings import Run


@dataclass(kw_only=True)
class Train(Run):
    """Train an agent.

    Ends with the agent in OUT/agent.safetensors and the learning curve in OUT/learning_curve.png;
    on the way there, OUT/progress.csv and TensorBoard's files grow, and OUT/checkpoint.zip is
    renewed every few minutes.
    """

    out: Path = Path("runs/latest")
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


def train(args: Sequence[str]) -> None:
    """Parse the options, the task's own among them, and train."""
    settings, after = preset_settings("train", args)
    config, options = task_options("train", Train, args, **settings)
    check_free(config.out, config.resume, config.overwrite)
    if after is not None and config.init is None:
        config.init = beginning(after, config, {"train": train, "imitate": imitate})
    train_run(
        Run(**{field.name: getattr(config, field.name) for field in dataclasses.fields(Run)}),
        options,
        out=config.out,
        resume=config.resume,
        overwrite=config.overwrite,
        minutes_between_checkpoints=config.minutes_between_checkpoints,
        progress=config.progress,
    )
