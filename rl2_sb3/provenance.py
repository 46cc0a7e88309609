"""Where a number comes from: the machine and the version that computed it."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch as th


def hardware(device: th.device) -> str:
    """What computed it, in words for a table's row."""
    if device.type == "cuda":
        return th.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {th.get_num_threads()} threads"


def version() -> str:
    """The version that computed it: the commit of a checkout, else that of the distribution."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    command = [*git, "describe", "--always", "--dirty"]
    try:
        # Installed into an environment inside another repository, it is none of its files.
        subprocess.run(
            [*git, "ls-files", "--error-unmatch", here.name], capture_output=True, check=True
        )
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return metadata.version("rl2-sb3")
