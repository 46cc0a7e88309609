"""``rl2 imitate``: learn a baseline's algorithm by supervision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl2_sb3.cli.options import RunOptions, beginning, parse
from rl2_sb3.config import ImitationRunConfig
from rl2_sb3.options import as_kind


@dataclass(kw_only=True)
class Imitate(RunOptions, ImitationRunConfig):
    """Learn a baseline's algorithm by supervision, on fresh trials that the baseline plays.

    Ends with the agent in OUT/agent.safetensors, the divergence from the teacher in
    OUT/learning_curve.png, and OUT/checkpoint.zip, which `rl2 train --init OUT` goes on from with
    reinforcement learning.
    """


def imitate(args: Sequence[str]) -> None:
    """Parse the options and learn."""
    config, options, after = parse("imitate", Imitate, args, out=Path("runs/imitation"))
    from rl2_sb3.runs.folder import check_free
    from rl2_sb3.runs.imitating import imitate as imitate_run

    check_free(config.folder.out, config.folder.resume, config.folder.overwrite)
    if after is not None and config.init is None:
        config.init = beginning(after, config, {"imitate": imitate})
    imitate_run(as_kind(ImitationRunConfig, config), options, config.folder)
