"""Sweeps of training: real runs in folders of their own."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rl2_sb3.cli import main
from rl2_sb3.sweeps import Job, best_points, load_sweep, run_sweep, write_points
from rl2_sb3.sweeps.runs import Outcome, play, read_metric
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


def test_hyperband_stops_runs_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run is the best; of the others, those that are compared early end there."""

    def played(
        words: list[str], folder: Path, metric: str, report: Callable[[int, float], bool], _: Any
    ) -> Outcome:
        value = float(words[-1].partition("=")[2])
        for number in range(1, 17):
            if report(number, value):
                return Outcome([value] * number, True)
        return Outcome([value] * 16, False)

    monkeypatch.setattr("rl2_sb3.sweeps.study.play", played)
    values = str([0.5 - i / 100 for i in range(20)])
    text = TRAIN.replace("  hidden_size: {values: [2, 3]}", "").replace("  skip: {value: true}", "")
    text += f"  learning_rate: {{values: {values}}}\n"
    text += "early_terminate: {type: hyperband, max_iter: 16, s: 2, eta: 4}\n"
    sweep = load_sweep(sweep_file(tmp_path, text))
    study = run_sweep(Job(sweep, f"sqlite:///{tmp_path}/s.db", tmp_path, progress=False))
    last = Counter(len(each.intermediate_values) for each in study.trials)
    assert last.keys() == {1, 4, 16}  # max_iter by eta, once and twice
    assert last[1] > 3
    write_points(study, tmp_path / "points.csv")
    entries = {(row["state"], row["entries"]) for row in rows(tmp_path / "points.csv")}
    assert {("complete", "16"), ("stopped early", "1")} <= entries
    assert best_points(study)[0].point["learning_rate"] == 0.5


def test_a_run_that_is_stopped_early_saves_itself(tmp_path: Path) -> None:
    words = ["train", "bandit", "--steps=10000000", "--no-progress"]
    outcome = play(words, tmp_path, "trial/return", lambda number, _: number >= 3, lambda: False)
    assert outcome.stopped
    assert len(outcome.values) == 3
    assert (tmp_path / "checkpoint.zip").exists()
    assert not (tmp_path / "agent.safetensors").exists()


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
    # Before it learns nobody listens to signals, and it would end without a word.
    while "steps/s" not in (folder / "rl2.log").read_text().partition("resumed after")[2]:
        assert stopped.poll() is None
        time.sleep(0.2)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(60) == 128 + signal.SIGTERM
    assert "--resume to go on from" in (folder / "rl2.log").read_text()
