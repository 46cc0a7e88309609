"""Where a number comes from: the machine and the version that computed it."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch as th

PLUGINS = ":(top)plugins"


def hardware(device: th.device, threads: int) -> str:
    """What computed it, in words for a table's row.

    :param threads: processor threads that were taken
    """
    if device.type == "cuda":
        return th.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {threads} threads"


def version() -> str:
    """The version that computed it: the commit of a checkout, else that of the distribution.

    A commit is "-dirty" where the files of this package or of the plugins are not those of the
    commit.
    """
    here = Path(__file__)

    def git(*words: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(here.parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # Installed into an environment inside another repository, it is none of its files.
        git("cat-file", "-e", f"HEAD:./{here.name}")
        commit = git("describe", "--always")
        changed = git("status", "--porcelain", "--", ".", PLUGINS)
    except (OSError, subprocess.CalledProcessError):
        return metadata.version("rl2-sb3")
    return f"{commit}-dirty" if changed else commit
