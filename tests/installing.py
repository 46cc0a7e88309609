"""Plugins installed into environments of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

Install = Callable[[Path], Callable[..., str]]


def installer(tmp_path: Path) -> Install:
    """Install a plugin's folder into a fresh environment, and give what runs its Python."""
    pytest.importorskip("setuptools")
    pytest.importorskip("pip")

    def run(*command: str) -> str:
        settings = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "COLUMNS": "200"}
        done = subprocess.run(
            command, env=os.environ | settings, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(folder: Path) -> Callable[..., str]:
        plugin, environment = tmp_path / "plugin", tmp_path / "venv"
        shutil.copytree(folder, plugin)
        venv.create(environment, with_pip=False, symlinks=os.name != "nt")
        (python,) = environment.glob("bin/python" if os.name != "nt" else "Scripts/python.exe")
        (packages,) = environment.glob("**/site-packages")
        # What is installed here is seen there, this package's editable installation included.
        here = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        lines = [f"import site; site.addsitedir({path!r})\n" for path in here]
        (packages / "here.pth").write_text("".join(lines))
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        run(*pip, "--no-deps", "--no-build-isolation", "--no-index", str(plugin))
        shutil.rmtree(plugin)  # what runs is what was installed
        assert list(packages.glob(f"{folder.name.replace('-', '_')}-*.dist-info"))
        return lambda *args: run(str(python), *args)

    return install
