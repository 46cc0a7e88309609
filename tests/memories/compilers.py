"""Compilers that do what a test wants, and processes that use them."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from rl2_sb3.memories import native

BUILDING = "rl2-sb3: building the recurrence for this processor (once, half a minute) ...\n"
INSTEAD = "rl2-sb3: the recurrence runs in Python, more slowly: "


class Compiler:
    """A shell script in the compiler's place, which finds the output's path in ``$2``."""

    def __init__(self, folder: Path, script: str):
        self.path, self._calls = folder / "compiler", folder / "calls"
        find = 'while [ "$1" != -o ]; do shift; done'
        self.path.write_text(f"#!/bin/sh\necho called >> {self._calls}\n{find}\n{script}\n")
        self.path.chmod(0o755)

    def calls(self) -> int:
        return len(self._calls.read_text().splitlines()) if self._calls.exists() else 0


def next_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what came of loading. A library can be loaded once: for those that are not."""
    monkeypatch.setattr(native, "load", cache(native.load.__wrapped__))


def start(program: str, **environment: str) -> subprocess.Popen[str]:
    """Run a program in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
