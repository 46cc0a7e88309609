"""``rl2 train``: train an agent on a task distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rl2_sb3.cli.imitate import imitate
from rl2_sb3.cli.options import RunOptions, beginning, parse
from rl2_sb3.config import TrainConfig
from rl2_sb3.options import as_kind


@dataclass(kw_only=True)
class Train(RunOptions, TrainConfig):
    """Train an agent.

    Writes the agent to OUT/agent.safetensors and the learning curve to OUT/learning_curve.png;
    during training, logs to OUT/progress.csv and TensorBoard, and saves OUT/checkpoint.zip every
    few minutes.
    """


def train(args: Sequence[str]) -> None:
    """Parse the options, the task's own among them, and train."""
    config, options, after = parse("train", Train, args)
    from rl2_sb3 import ranks
    from rl2_sb3.cli.checks import check_run
    from rl2_sb3.runs.training import train as train_run

    ranks.join(config.device)
    ranks.together(lambda: check_run(config, options), first_alone=True)
    if after is not None and config.init is None:
        config.init = beginning(after, config, {"train": train, "imitate": imitate})
    train_run(as_kind(TrainConfig, config), options, config.folder)
