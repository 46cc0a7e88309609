"""Where a number comes from: the machine and the version that computed it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch as th

PLUGINS = ":(top)plugins"
REQUIRED = ("torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numpy", "optuna")
OPTIONAL = ("wandb",)
FEATURES = {
    "AVX2": "_is_avx2_supported",
    "AVX-512": "_is_avx512_supported",
    "AVX-512 BF16": "_is_avx512_bf16_supported",
    "AMX": "_is_amx_tile_supported",
}
"""What makes products fast on x86, and the function of ``torch.cpu`` that tells of it."""


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


def versions() -> dict[str, str]:
    """Versions of this package, its commit in a checkout, Python, and what all stands on."""
    ours, commit = metadata.version("rl2-sb3"), version()
    found = {"rl2-sb3": ours} | ({} if commit == ours else {"commit": commit})
    found |= {"Python": platform.python_version(), "platform": platform.platform()}
    found |= {name: metadata.version(name) for name in REQUIRED}
    for name in (*OPTIONAL, *_requirements_of_plugins()):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _requirements_of_plugins() -> list[str]:
    """Names of the distributions that installed plugins require."""
    groups = [name for name in metadata.entry_points().groups if name.startswith("rl2_sb3.")]
    plugins = [ep.dist for group in groups for ep in metadata.entry_points(group=group)]
    lines = {line for plugin in plugins if plugin for line in plugin.requires or ()}
    return sorted({re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line})


def processor_name() -> str:
    """The processor's model, or its architecture where the system does not report it."""
    commands = {"Linux": ["lscpu"], "Darwin": ["sysctl", "machdep.cpu.brand_string"]}
    try:
        told = subprocess.run(
            commands[platform.system()],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout
    except (KeyError, OSError, subprocess.CalledProcessError):
        told = ""
    model = re.search(r"^\s*(?:Model name|machdep\.cpu\.brand_string): *(.+)$", told, re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def processor_features() -> list[str]:
    """Which instructions for fast products the processor has, as far as this torch can tell.

    On Arm NEON, which all have, and bf16; else those of :data:`FEATURES`.
    """
    if platform.machine() in ("aarch64", "arm64"):
        told: Mapping[str, Any] = getattr(th.cpu, "get_capabilities", dict)()
        return ["NEON", *(["bf16"] if told.get("bf16") else [])]
    return [name for name, test in FEATURES.items() if getattr(th.cpu, test, bool)()]


def cuda_devices() -> list[str]:
    """Names of the CUDA devices, none where there is no CUDA."""
    if not th.cuda.is_available():
        return []
    return [th.cuda.get_device_name(number) for number in range(th.cuda.device_count())]
