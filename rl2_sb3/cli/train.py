"""``rl2 train``: train an agent on a task distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from rl2_sb3.cli.imitate import imitate
from rl2_sb3.cli.options import beginning, parse
from rl2_sb3.config import FolderConfig, TrainConfig
from rl2_sb3.options import as_kind


@dataclass(kw_only=True)
class Train(TrainConfig):
    """Train an agent.

    Ends with the agent in OUT/agent.safetensors and the learning curve in OUT/learning_curve.png;
    on the way there, OUT/progress.csv and TensorBoard's files grow, and OUT/checkpoint.zip is
    renewed every few minutes.
    """

    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "default"
    """Settings to begin with: a preset's name, as `--preset list` shows them, or a YAML file."""
    config: Path | None = None
    """YAML file of options by the names of their flags, or a run's config.json; flags that are
    given win."""
    folder: tyro.conf.OmitArgPrefixes[FolderConfig] = field(default_factory=FolderConfig)


def train(args: Sequence[str]) -> None:
    """Parse the options, the task's own among them, and train."""
    config, options, after = parse("train", Train, args)
    from rl2_sb3.runs.folder import check_free
    from rl2_sb3.runs.training import train as train_run

    check_free(config.folder.out, config.folder.resume, config.folder.overwrite)
    if after is not None and config.init is None:
        config.init = beginning(after, config, {"train": train, "imitate": imitate})
    train_run(as_kind(TrainConfig, config), options, config.folder)
