"""Changes to the code that the tests must find: ``python -m tests.mutations [NAME ...]``.

Each is made in a copy of the tree, and the tests beside it are run there. A change that they pass
is reported, a survivor, and the exit status is 1. No part of ``make test``: it takes minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
CHANGES = Path(__file__).parent / "data" / "mutations.yaml"
COPIED = ("rl2_sb3", "tests", "plugins", "sweeps", "pyproject.toml")


class Mutation(NamedTuple):
    """A change of one place in the code, which a test must find."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]
    """Files below ``tests/``."""


def copy_tree(to: Path) -> None:
    """A copy of what the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / name)


def passes(tree: Path, tests: list[str]) -> bool:
    """Whether tests pass in a copy, whose packages are imported in the place of those installed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += [f"tests/{test}" for test in tests]
    packages = os.pathsep.join(map(str, (tree, *(tree / "plugins").iterdir())))
    environment = {**os.environ, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    if run.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(command)} could not run:\n{run.stdout}{run.stderr}")
    return run.returncode == 0


def survives(tree: Path, mutation: Mutation) -> bool:
    """Whether the tests pass with a change.

    :raises ValueError: the text that it changes is not there, or not once
    """
    path = tree / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise ValueError(
            f"{mutation.name}: {mutation.old!r} is {text.count(mutation.old)} times in "
            f"{mutation.file}, not once: rewrite it in {CHANGES}."
        )
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        return passes(tree, mutation.tests)
    finally:
        path.write_text(text, encoding="utf-8")


def main(names: list[str]) -> int:
    """Try the changes with the given names, or all."""
    changes = [Mutation(**each) for each in yaml.safe_load(CHANGES.read_text(encoding="utf-8"))]
    unknown = set(names) - {change.name for change in changes}
    if unknown:
        raise ValueError(f"No change {min(unknown)!r} in {CHANGES}.")
    chosen = [change for change in changes if not names or change.name in names]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        if not passes(tree, sorted({test for change in chosen for test in change.tests})):
            raise RuntimeError("The tests fail without any change: mend that first.")
        for mutation in chosen:
            alive = survives(tree, mutation)
            survivors += [mutation.name] * alive
            print(f"{'SURVIVED' if alive else 'found':9} {mutation.name}", flush=True)
    print(f"{len(chosen)} changes, {len(survivors)} survivors{': ' * bool(survivors)}", end="")
    print("; ".join(survivors))
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
