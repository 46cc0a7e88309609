"""A run's folder holds one run, whose files are whole and tell the truth."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch as th

from rl2_sb3 import RL2PPO, files
from rl2_sb3.cli import main
from rl2_sb3.runs.folder import own
from rl2_sb3.runs.log import ProgressFile, read_rows, rows_until
from rl2_sb3.tasks import BernoulliBandit

TRAIN = [
    *("train", "bandit", "--hidden-size", "8", "--n-envs", "16", "--episodes", "5"),
    *("--no-progress", "--seed", "3"),
]


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("run")


def train(steps: int, out: Path, *more: str) -> None:
    main([*TRAIN, "--steps", str(steps), "--out", str(out), *more])


def log(out: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((out / "progress.csv").open()))
    return [
        {k: v for k, v in row.items() if k not in ("time/fps", "time/time_elapsed")} for row in rows
    ]


def weights(out: Path) -> dict[str, th.Tensor]:
    return RL2PPO.load(out / "checkpoint.zip").policy.state_dict()


def test_a_disk_that_takes_nothing_leaves_the_configuration(out: Path) -> None:
    train(160, out)
    before = (out / "config.json").read_bytes()
    (out / "config.json.part").mkdir()
    with pytest.raises(SystemExit, match=r"^rl2 train: run/config\.json\.part: Is a directory\.$"):
        train(320, out, "--resume")
    assert (out / "config.json").read_bytes() == before


def test_nothing_beside_a_file_that_was_not_written(tmp_path: Path) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.replace_whole(tmp_path / "x", fail)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_without_its_configuration_is_not_gone_on_with(out: Path) -> None:
    train(160, out)
    kept = (out / "config.json").read_text()
    (out / "config.json").unlink()
    with pytest.raises(SystemExit, match=r"run holds a checkpoint\.zip, but no config\.json"):
        train(320, out, "--resume", "--gamma", "0.5")
    with pytest.raises(SystemExit, match="holds a run"):
        train(320, out)
    for damaged in ("", "[1]", kept[:-20]):
        (out / "config.json").write_text(damaged)
        with pytest.raises(SystemExit, match=r"config\.json is damaged .* --overwrite"):
            train(320, out, "--resume")
    (out / "config.json").write_text(kept)
    train(320, out, "--resume")
    assert RL2PPO.load(out / "checkpoint.zip").num_timesteps == 320


def test_one_process_a_folder(out: Path) -> None:
    train(160, out)
    with own(out), pytest.raises(SystemExit, match="Another process is at work in run"):
        train(320, out, "--resume")
    with own(out), pytest.raises(SystemExit, match="Another process is at work in run"):
        train(320, out, "--overwrite")
    train(320, out, "--resume")  # the lock is gone with its holder


def test_the_lock_goes_with_its_process(out: Path) -> None:
    code = "import os, pathlib; from rl2_sb3.runs.folder import own\n"
    code += "with own(pathlib.Path('run'), make=True): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (out / ".lock").exists()
    with own(out):
        pass


def test_a_file_is_no_folder(out: Path) -> None:
    out.write_text("mine")
    with pytest.raises(SystemExit, match=r"run is a file: name a folder with --out"):
        train(160, out)
    assert out.read_text() == "mine"


def test_more_steps_do_not_raise_the_learning_rate(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(800, out)
    rate = 3e-3
    train(800, out, "--resume")
    assert "decays over" not in capsys.readouterr().err
    train(1600, out, "--resume")
    assert "decays over 800 steps and stays at a hundredth" in capsys.readouterr().err
    assert json.loads((out / "config.json").read_text())["decay_steps"] == 800
    rates = {int(row["time/total_timesteps"]): row["train/learning_rate"] for row in log(out)}
    assert float(rates[800]) == pytest.approx(rate - 9 / 10 * 0.99 * rate)  # of the update before
    for steps in (880, 1600):
        assert float(rates[steps]) == pytest.approx(rate / 100)
    train(2000, out, "--resume")
    with pytest.raises(SystemExit, match="decay_steps: 800 then, 900 now"):
        train(2400, out, "--resume", "--decay-steps", "900")
    train(2000, Path("whole"), "--decay-steps", "800")
    assert log(Path("whole")) == log(out)
    for key, value in weights(Path("whole")).items():
        np.testing.assert_array_equal(value, weights(out)[key], err_msg=key)


def test_fewer_steps_do_not_bend_it_either(out: Path) -> None:
    train(800, out, "--decay-steps", "1600")
    train(1600, Path("other"))
    rows = [row["train/learning_rate"] for row in log(out)]
    assert rows == [row["train/learning_rate"] for row in log(Path("other"))][: len(rows)]


def test_one_log_however_often_it_was_resumed(out: Path) -> None:
    train(1200, Path("whole"), "--decay-steps", "400")
    train(400, out)
    for steps in (560, 800, 1200):
        train(steps, out, "--resume")
    assert log(out) == log(Path("whole"))
    assert len(log(out)) == 15
    assert not (out / "progress-2.csv").exists()


def test_what_was_logged_past_the_checkpoint_is_taken_away(out: Path) -> None:
    train(400, out)
    row = (out / "progress.csv").read_text().splitlines()[-1]
    with (out / "progress.csv").open("a") as file:
        file.write(row.replace("400", "480") + "\n" + row[:20])  # a kill cut the last short
    (out / "progress-2.csv").write_text("time/total_timesteps,trial/return\n400,7\n480,9\n")
    train(560, out, "--resume")
    steps = [int(row["time/total_timesteps"]) for row in log(out)]
    assert steps == [*range(80, 561, 80)]
    assert log(out)[4]["trial/return"] == "7"  # an earlier version's second part
    assert not (out / "progress-2.csv").exists()


def test_a_log_with_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    book = ProgressFile(path)
    none: dict[str, Any] = {"a": None, "b": None}
    book.write({"a": 1}, none)
    book.write({"a": 2, "b": 'x, "y"'}, none)
    book.close()
    again = ProgressFile(path)
    again.write({"b": 3}, none)
    again.close()
    assert read_rows(path) == [
        {"a": "1", "b": ""},
        {"a": "2", "b": 'x, "y"'},
        {"a": "", "b": "3"},
    ]
    assert rows_until(tmp_path, 10) == []  # none tells its steps


def test_nothing_good_is_replaced_by_what_is_not_finite(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(160, out)
    before = (out / "checkpoint.zip").read_bytes(), (out / "agent.safetensors").read_bytes()
    update = RL2PPO.train

    def diverge(model: RL2PPO) -> None:
        update(model)
        with th.no_grad():
            next(model.policy.parameters()).view(-1)[0] = np.inf

    with monkeypatch.context() as patch:
        patch.setattr(RL2PPO, "train", diverge)
        with pytest.raises(SystemExit, match=r" is not finite, so the model is not saved"):
            train(240, out, "--resume")
    assert (out / "checkpoint.zip").read_bytes() == before[0]
    model = RL2PPO.load(out / "checkpoint.zip")
    th.nn.init.constant_(next(model.policy.parameters()), np.nan)
    with pytest.raises(ValueError, match="is not finite"):
        model.save_agent(out / "agent.safetensors")
    assert (out / "agent.safetensors").read_bytes() == before[1]
    train(240, out, "--resume")


def test_overwriting_ends_whole_or_begins_anew(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between two files leaves nothing that looks like another run's checkpoint."""
    train(160, out)
    unlink = Path.unlink
    order: list[str] = []

    def note(path: Path, missing_ok: bool = False) -> None:
        order.append(path.name)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", note)
    train(160, out, "--overwrite", "--gamma", "0.5")
    assert order.index("checkpoint.zip") < order.index("config.json")
    assert os.listdir(out)


def test_nothing_to_resume_is_said(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(160, out, "--resume")
    assert "Nothing to resume in run: begun anew.\n" in capsys.readouterr().out
    train(240, out, "--resume")
    assert "Nothing to resume" not in capsys.readouterr().out


def test_resuming_and_overwriting_are_two_things(out: Path) -> None:
    train(160, out)
    before = (out / "config.json").read_bytes()
    with pytest.raises(SystemExit, match=r"--resume goes on .*, --overwrite begins anew: give one"):
        train(80, out, "--resume", "--overwrite")
    assert (out / "config.json").read_bytes() == before


def test_a_run_with_all_its_steps_keeps_their_number(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(160, out)
    capsys.readouterr()
    train(80, out, "--resume")
    assert "run is trained already, for 160 steps.\n" in capsys.readouterr().out
    assert json.loads((out / "config.json").read_text())["steps"] == 160
    train(240, out, "--resume")
    assert "trained already" not in capsys.readouterr().out
    assert json.loads((out / "config.json").read_text())["steps"] == 240


@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_a_run_that_failed_at_once_holds_no_folder(
    more: list[str], out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("mine")

    with monkeypatch.context() as patch:
        patch.setattr(BernoulliBandit, "sample", fail)
        with pytest.raises(SystemExit, match="mine"):
            train(160, out, "--progress", "--gamma", "0.5")
    told = capsys.readouterr()
    assert "Ended by KeyError: 'mine'.\n" in told.out
    assert (told.out + told.err).count("nothing is saved") == 1
    assert (out / "config.json").exists()
    with own(out), pytest.raises(SystemExit, match="Another process is at work in run"):
        train(160, out, *more)
    train(160, out, *more)
    assert json.loads((out / "config.json").read_text())["gamma"] == 1


@pytest.mark.parametrize("name", ["checkpoint.zip", "agent.safetensors", "progress.csv"])
def test_what_holds_a_folder(name: str, out: Path) -> None:
    out.mkdir()
    (out / name).write_text("kept")
    with pytest.raises(SystemExit, match="run holds a run"):
        train(160, out)
    assert (out / name).read_text() == "kept"


@pytest.mark.parametrize("command", ["train", "imitate"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cartpole"], "'cartpole' is neither a registered task"),
        (["bandit", "--memory", "grru"], "Did you mean 'gru'"),
        (["bandit", "--policy", "GRUPolcy"], "Did you mean 'GRUPolicy'"),
    ],
)
def test_the_folder_hides_no_other_mistake(
    command: str, words: list[str], told: str, out: Path
) -> None:
    out.mkdir()
    (out / "checkpoint.zip").touch()
    with pytest.raises(SystemExit, match=told):
        main([command, *words, "--out", str(out)])
