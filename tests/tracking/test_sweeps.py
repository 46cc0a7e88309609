"""The real `wandb sweep` and `wandb agent` run sweep files; each run's summary has the metric."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import rl2_sb3
from tests.tracking.reading import WANDB, tracked
from tests.tracking.server import ENTITY, PROJECT, SWEEP, serving

BASELINE = Path(rl2_sb3.__file__).parents[1] / "sweeps" / "ucb1.yaml"
TRAIN = Path(__file__).with_name("train.yaml")
pytestmark = pytest.mark.timeout(900)  # eight programs, which a busy machine starts slowly


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Path]]:
    """Where the first two points of each file have run, both files at the same time."""
    folders = {file: tmp_path_factory.mktemp(file.stem) for file in (BASELINE, TRAIN)}
    with ExitStack() as stack:
        agents = []
        for file, folder in folders.items():
            server = stack.enter_context(serving(points=2))
            env = {name: text for name, text in os.environ.items() if "WANDB" not in name}
            env |= {"WANDB_BASE_URL": server.address, "WANDB_API_KEY": 40 * "x"}
            env |= {"WANDB_ENTITY": ENTITY, "WANDB_PROJECT": PROJECT, "WANDB_MODE": "offline"}
            env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
            kept = {"env": env, "cwd": folder, "stdin": subprocess.DEVNULL}
            subprocess.run([WANDB, "sweep", str(file)], **kept, check=True)  # type: ignore[call-overload]
            command = [WANDB, "agent", f"{ENTITY}/{PROJECT}/{SWEEP}"]
            agents.append(subprocess.Popen(command, **kept))  # type: ignore[call-overload]
        assert [agent.wait() for agent in agents] == [0, 0]
        yield folders


def test_a_sweep_of_a_baseline(swept: dict[Path, Path]) -> None:
    first, second = tracked(swept[BASELINE] / "wandb")
    assert (first.id, second.id) == ("point0", "point1")
    assert first.config["baseline"] == "ucb1"
    assert (first.config["c"], first.config["episodes"]) == (0, 10)
    assert second.config["episodes"] == 100
    # With c = 0 the first arm that pays is pulled again and again: more than half of the pulls pay.
    assert 5 < first.summary["mean"] < 10
    assert 50 < second.summary["mean"] < 100


def test_a_sweep_of_training(swept: dict[Path, Path]) -> None:
    runs = tracked(swept[TRAIN] / "wandb")
    assert [run.config["learning_rate"] for run in runs] == [0.001, 0.01]
    for run in runs:
        out = swept[TRAIN] / "runs" / SWEEP / run.id  # a folder of its own, which nobody named
        last = list(csv.DictReader((out / "progress.csv").open()))[-1]
        assert run.summary["trial/return"] == pytest.approx(float(last["trial/return"]))
        assert run.summary["_step"] == 160
        assert (out / "agent.safetensors").exists()
