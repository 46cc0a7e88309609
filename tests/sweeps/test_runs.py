"""Sweeps of training: real runs in folders of their own."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from rl2_sb3.cli import main
from rl2_sb3.sweeps import Job, load_sweep, run_sweep
from rl2_sb3.sweeps.runs import read_metric
from tests.sweeps.files import sweep_file

TRAIN = """\
name: tiny
program: rl2
command: ["${env}", rl2, train, bandit, --arms=2, --no-progress, "${args}"]
method: grid
metric: {name: trial/return, goal: maximize}
parameters:
  episodes: {value: 2}
  steps: {value: 40}
  n_envs: {value: 10}
  hidden_size: {values: [2, 3]}
  skip: {value: true}
"""


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def sweep_words(tmp_path: Path, text: str = TRAIN) -> list[str]:
    out = ["--workers", "1", "--out", str(tmp_path / "out")]
    return ["sweep", str(sweep_file(tmp_path, text)), *out]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep over seeds, too."""
    tmp_path = tmp_path_factory.mktemp("swept")
    main(sweep_words(tmp_path, f"{TRAIN}  seed: {{values: [0, 1]}}\n"))
    return tmp_path


def test_each_configuration_is_a_run_of_its_own(swept: Path) -> None:
    table = rows(swept / "out/tiny.csv")
    assert [(row["hidden_size"], row["seed"]) for row in table] == [
        *(("2", "0"), ("2", "1"), ("3", "0"), ("3", "1")),
    ]
    assert [row["state"] for row in table] == ["complete"] * 4
    for row in table:
        folder = swept / "out/runs" / row["folder"]
        assert (folder / "agent.safetensors").exists()
        last = read_metric(folder, "trial/return")[-1]
        assert row["trial/return"] == f"{last:.6g}"


def test_the_best_by_its_mean_over_seeds_is_a_configuration_for_train(
    swept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    means = {
        size: sum(
            float(row["trial/return"])
            for row in rows(swept / "out/tiny.csv")
            if row["hidden_size"] == size
        )
        for size in ("2", "3")
    }
    best = yaml.safe_load((swept / "out/tiny-best.yaml").read_text())
    assert str(best["hidden_size"]) == max(means, key=lambda size: means[size])
    assert (best["task"], best["steps"], best["skip"]) == ("bandit", 40, True)
    assert best["options"]["arms"] == 2
    assert "seed" not in best
    config = ["--config", str(swept / "out/tiny-best.yaml")]
    main(["train", *config, "--out", str(swept / "again"), "--no-progress"])
    assert "40 steps" in capsys.readouterr().out


def test_plots_are_drawn(swept: Path) -> None:
    names = {path.name for path in (swept / "out").glob("tiny-*.png")}
    assert {"tiny-history.png", "tiny-parallel-coordinates.png", "tiny-slices.png"} <= names


def test_runs_of_another_sweep_are_not_run_again(
    swept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A metric that is never logged is told after the first run; what was run is kept."""
    wrong = TRAIN.replace("trial/return", "trial/retrun").replace("tiny", "wrong")
    words = sweep_words(swept, f"{wrong}  seed: {{values: [0, 1]}}\n")
    before = {path: path.stat().st_mtime for path in (swept / "out/runs").glob("*/progress.csv")}
    with pytest.raises(SystemExit, match=r"no metric 'trial/retrun'\. Did you mean 'trial/return'"):
        main(words)
    main(sweep_words(swept, f"{TRAIN.replace('tiny', 'wrong')}  seed: {{values: [0, 1]}}\n"))
    after = {path: path.stat().st_mtime for path in (swept / "out/runs").glob("*/progress.csv")}
    assert after == before
    returns = [
        [row["trial/return"] for row in rows(swept / f"out/{n}.csv")] for n in ("wrong", "tiny")
    ]
    assert returns[0] == returns[1]


def test_a_run_that_fails_ends_no_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TRAIN.replace("hidden_size: {values: [2, 3]}", "memory: {values: [sums, none]}")
    with pytest.raises(SystemExit, match=r"1 of 2 configurations failed.*: No memory 'none'\."):
        main(sweep_words(tmp_path, text))
    assert "memory=none failed: rl2 train: No memory 'none'" in capsys.readouterr().err
    table = rows(tmp_path / "out/tiny.csv")
    assert [row["state"] for row in table] == ["failed", "complete"]


def test_hyperband_stops_runs_early(tmp_path: Path) -> None:
    """Of runs that differ in nothing but their rate of learning, not all go on to the end."""
    text = TRAIN.replace("steps: {value: 40}", "steps: {value: 1200}").replace(
        "  hidden_size: {values: [2, 3]}", "  learning_rate: {values: [0.0, 0.1, 0.0001, 0.00001]}"
    )
    text += "early_terminate: {type: hyperband, max_iter: 60, s: 1, eta: 30}\n"
    out = tmp_path / "out"
    sweep = load_sweep(sweep_file(tmp_path, text))
    out.mkdir()
    study = run_sweep(Job(sweep, f"sqlite:///{out}/s.db", out, progress=False))
    reported = [len(trial.intermediate_values) for trial in study.trials]
    assert reported[0] == 60
    states = {trial.state.name for trial in study.trials}
    assert "PRUNED" in states
    assert min(reported) < 60


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_sweep_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Its run ends with it, and is taken up from its checkpoint."""
    text = TRAIN.replace("steps: {value: 40}", "steps: {value: 400000}")
    text = text.replace("[2, 3]", "[2]").replace("--no-progress, ", "")
    text += "  minutes_between_checkpoints: {value: 0}\n"
    words = [sys.executable, "-m", "rl2_sb3", *sweep_words(tmp_path, text)]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list(tmp_path.glob("out/runs/*/checkpoint.zip")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)
    [folder] = (tmp_path / "out/runs").iterdir()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    sweep_file(tmp_path, text)
    stopped = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    while "resumed after" not in (folder / "rl2.log").read_text():
        assert stopped.poll() is None
        time.sleep(0.2)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(60) == 128 + signal.SIGTERM
    assert "--resume to go on from" in (folder / "rl2.log").read_text()
