"""An earlier commit of this repository, to compare the present code with."""

from __future__ import annotations

import io
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import torch as th

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = "plugins/rl2-vizdoom"


def resolve(commit: str) -> str | None:
    """The whole name of a commit; ``None`` where the history does not have it."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def cache_folder() -> Path:
    """Where earlier commits are kept; it may be deleted."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rl2_sb3" / "commits"


def install(commit: str, cache: Path) -> Path:
    """The folder into which a commit's rl2_sb3 and rl2-vizdoom are installed, made once.

    Whatever else they need is the present environment's; what stands before it on Python's path,
    such as this folder, is found first. No network is needed.

    :param commit: its whole name
    :raises RuntimeError: pip cannot install it
    """
    # Compiled parts belong to one version of Python and of torch.
    built = f"py{platform.python_version()}-torch{th.__version__}"
    folder = cache / f"{commit[:12]}-{built}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    command = ["git", "-C", str(ROOT), "archive", commit]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        source, target = Path(temporary) / "source", Path(temporary) / "target"
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(source, filter="data")
        packages = [source, *([source / PLUGIN] if (source / PLUGIN).exists() else [])]
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
        pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(target)]
        done = subprocess.run([*pip, *map(str, packages)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"Commit {commit} cannot be installed: {done.stderr.strip()}")
        # Moved when it is whole: nobody finds half of it.
        try:
            target.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was faster
                raise
    return folder
