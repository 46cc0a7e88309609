"""Whether a run is to be tracked, and what `wandb agent` says of the runs that it starts."""

from __future__ import annotations

import os
from pathlib import Path

from rl2_sb3.config import TrackConfig


def sweep_folder() -> Path | None:
    """A folder of its own for a run that `wandb agent` has started, or none for any other."""
    sweep, run = os.environ.get("WANDB_SWEEP_ID"), os.environ.get("WANDB_RUN_ID")
    return Path("runs", sweep, run) if sweep and run else None


def is_tracked(config: TrackConfig) -> bool:
    """Whether a run is to be tracked."""
    return config.track == "wandb" or (config.track == "auto" and sweep_folder() is not None)
