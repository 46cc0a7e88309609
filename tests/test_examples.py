"""The examples run, shortened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SHORTER = {
    "evaluate_against_baselines": ["--steps=5000", "--trials=50"],
    "imitation_then_rl": ["--batches=8", "--steps=5120"],
    "own_batched_tasks": ["--steps=4000"],
    "own_gymnasium_tasks": ["--steps=400"],
    "own_memory": ["--steps=5000"],
    "train_and_deploy": ["--steps=5000"],
}


def test_all_are_here() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(SHORTER)
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 40, path


@pytest.mark.parametrize("name", SHORTER)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *SHORTER[name]]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert {path.name for path in tmp_path.iterdir()} <= {"runs"}  # which git ignores
