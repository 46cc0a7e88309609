"""Where a number comes from: the machine, the version, and what training was told."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import torch as th

PLUGINS = ":(top)plugins"

Training = Literal["RL from scratch", "privileged RL", "imitation", "RL after imitation"]
"""How an agent learned. From scratch: all that it was told, and its value network, are states,
actions, sampled rewards and ends of episodes. Privileged: what only a simulator knows, too."""


def training(info: Mapping[str, Any]) -> Training:
    """How an agent learned, in its last run and in those that it goes on from.

    :param info: what its file tells of its training
    """
    runs = _runs(info)
    if "teacher" in runs[-1]:
        return "imitation"
    if any("teacher" in run for run in runs):
        return "RL after imitation"
    return "privileged RL" if any(run.get("privileged") for run in runs) else "RL from scratch"


def learned_from(info: Mapping[str, Any]) -> str:
    """The same in words, run by run: "gittins, then reward, privileged".

    :param info: what its file tells of its training
    """
    return ", then ".join(words for words, _ in groupby(map(_signal, _runs(info))))


def _runs(info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """From the first to the last."""
    return [*info.get("history", []), info]


def _signal(run: Mapping[str, Any]) -> str:
    """A teacher without its parameters, or what reward it was."""
    if "teacher" in run:
        return str(run["teacher"]).partition("(")[0]
    return "reward, privileged" if run.get("privileged") else "reward"


def hardware(device: th.device) -> str:
    """What computed it, in words for a table's row."""
    if device.type == "cuda":
        return th.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {th.get_num_threads()} threads"


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
