"""``rl2 imitate``: learn to imitate a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl2_sb3.cli.options import RunOptions, beginning, parse
from rl2_sb3.config import ImitationRunConfig
from rl2_sb3.options import as_kind


@dataclass(kw_only=True)
class Imitate(RunOptions, ImitationRunConfig):
    """Learn to imitate a baseline, on new trials that the baseline plays.

    Writes the agent to OUT/agent.safetensors, the KL divergence from the teacher to
    OUT/learning_curve.png, and OUT/checkpoint.zip, from which `rl2 train --init OUT` continues with
    reinforcement learning.
    """


def imitate(args: Sequence[str]) -> None:
    """Parse the options and learn."""
    config, options, after = parse("imitate", Imitate, args, out=Path("runs/imitation"))
    from rl2_sb3 import ranks
    from rl2_sb3.cli.checks import check_run
    from rl2_sb3.runs.imitating import imitate as imitate_run

    ranks.join(config.device)
    ranks.together(lambda: check_run(config, options), first_alone=True)
    if after is not None and config.init is None:
        config.init = beginning(after, config, {"imitate": imitate})
    imitate_run(as_kind(ImitationRunConfig, config), options, config.folder)
