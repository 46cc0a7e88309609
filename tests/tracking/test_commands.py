"""What the commands track, as W&B's own reader tells it."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from safetensors.numpy import load_file

from rl2_sb3.cli import main
from tests.tracking.reading import Tracked, tracked

TINY = ["bandit", "--arms", "3", "--episodes", "5", "--hidden-size", "8", "--no-progress"]
TRAIN = ["train", *TINY, "--n-envs", "16"]
IMITATE = ["imitate", *TINY, "--batches", "4", "--trials-per-batch", "16"]
PNG = b"\x89PNG"


def train(steps: int, *more: str) -> None:
    main([*TRAIN, "--steps", str(steps), "--out", "run", *more])


def rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def agent_of(run: Tracked) -> dict[str, Any]:
    """The description of the agent that was logged as an artifact."""
    (artifact,) = [each for each in run.artifacts if each["type"] == "model"]
    (file,) = artifact["manifest"]["contents"]
    assert file["path"] == "agent.safetensors"
    description: dict[str, Any] = json.loads(artifact["metadata"])
    return description


def assert_same_agents(first: str, second: str) -> None:
    one, other = (load_file(Path(run, "agent.safetensors")) for run in (first, second))
    for name, tensor in one.items():
        np.testing.assert_array_equal(tensor, other[name], err_msg=name)


@pytest.mark.usefixtures("offline")
def test_training_and_its_resumption() -> None:
    train(240, "--track", "wandb")
    train(320, "--track", "wandb", "--resume")
    main([*TRAIN, "--steps", "240", "--out", "untracked"])
    main([*TRAIN, "--steps", "320", "--out", "untracked", "--resume"])
    assert_same_agents("run", "untracked")

    first, second = tracked()
    assert first.id == second.id == json.loads(Path("run/wandb.json").read_text())["id"]
    assert first.config["task"] == "bandit"
    assert (first.config["arms"], first.config["steps"], first.config["gamma"]) == (3, 240, 1)
    assert (list(first.history), list(second.history)) == ([80, 160, 240], [320])
    logged = {**first.history, **second.history}
    for row in rows("run/progress.csv"):
        there = logged[int(row["time/total_timesteps"])]
        for name, text in row.items():
            if text:
                assert there[name] == pytest.approx(float(text)), name
    parts = {name.partition("/")[0] for name in logged[160]}
    assert {"trial", "rollout", "train"} <= parts
    for run, step in ((first, 80), (first, 240), (second, 320)):
        assert run.picture("adaptation", step).startswith(PNG)
    assert "adaptation.path" not in logged[160]  # every so often
    for run, steps in ((first, 240), (second, 320)):
        description = agent_of(run)
        assert description["info"]["task"] == "bandit"
        assert description["info"]["steps"] == steps
        assert description["network"]["hidden_size"] == 8


@pytest.mark.usefixtures("offline")
def test_a_new_run_in_the_folder_is_a_new_one_on_wandb() -> None:
    train(80, "--track", "wandb")
    before = Path("run/wandb.json").read_text()
    train(80, "--overwrite")
    assert not Path("run/wandb.json").exists()
    Path("run/wandb.json").write_text(before[:-5])
    with pytest.raises(SystemExit, match=r"run/wandb\.json, which says .* is damaged: delete it"):
        train(160, "--track", "wandb", "--resume")


@pytest.mark.usefixtures("offline")
def test_imitation() -> None:
    main([*IMITATE, "--out", "run", "--track", "wandb"])
    main([*IMITATE, "--out", "untracked"])
    assert_same_agents("run", "untracked")
    (run,) = tracked()
    (row,) = rows("run/progress.csv")
    assert run.config["teacher"] == "greedy"
    assert run.history[320]["imitation/kl"] == pytest.approx(float(row["imitation/kl"]))
    assert run.picture("adaptation", 320).startswith(PNG)
    assert agent_of(run)["info"]["teacher"] == "greedy"


@pytest.mark.usefixtures("offline")
def test_evaluation() -> None:
    play = ["--task", "bandit", "--episodes", "4", "--trials", "10", "--against", "random"]
    main(["evaluate", "ucb1(c=0.3)", *play, "--out", "out", "--track", "wandb"])
    (run,) = tracked()
    table = run.table("evaluation")
    kept = rows("out/evaluation.csv")
    assert table["columns"] == list(kept[0])
    for cells, row in zip(table["data"], kept, strict=True):
        told = dict(zip(table["columns"], cells, strict=True))
        assert (told["agent"], told["trials"]) == (row["agent"], 10)
        assert told["mean"] == float(row["mean"])
    assert run.summary["mean"] == pytest.approx(float(kept[0]["mean"]))
    curve = run.table("adaptation_table")
    assert [row[:2] for row in curve["data"][:5]] == [
        *(["ucb1(c=0.3)", episode] for episode in (1, 2, 3, 4)),
        ["random", 1],
    ]
    picture = (run.folder / "files" / run.summary["adaptation.path"]).read_bytes()
    assert picture == Path("out/adaptation.png").read_bytes()


@pytest.mark.usefixtures("offline")
def test_a_failure_in_the_middle_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = wandb.Run.log

    def fail(run: wandb.Run, values: dict[str, Any], step: int | None = None) -> None:
        if step == 160:
            raise ConnectionResetError("Connection lost")
        log(run, values, step)

    monkeypatch.setattr(wandb.Run, "log", fail)
    train(240, "--track", "wandb")
    told = capsys.readouterr().err
    assert told.count("Tracking on W&B has failed (ConnectionResetError: Connection lost).") == 1
    main([*TRAIN, "--steps", "240", "--out", "untracked"])
    assert_same_agents("run", "untracked")


@pytest.mark.usefixtures("offline")
def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    for words in (TRAIN, ["baseline", "ucb1", "--trials", "2"]):
        with pytest.raises(SystemExit, match=r"W&B is not installed: `pip install 'rl2-sb3\[wandb"):
            main([*words, "--track", "wandb"])
    assert not Path("runs/latest").exists()


@pytest.mark.usefixtures("offline")
def test_not_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    train(80)
    before = Path("run/checkpoint.zip").read_bytes()
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(SystemExit, match=r"^rl2 train: W&B: No API key .* WANDB_MODE=offline"):
        train(80, "--track", "wandb", "--overwrite")
    assert Path("run/checkpoint.zip").read_bytes() == before


@pytest.mark.usefixtures("offline")
def test_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    train(80, "--track", "wandb")
    main(["baseline", "ucb1", "--trials", "2", "--track", "wandb"])
    assert Path("run/agent.safetensors").exists()
    assert not Path("wandb").exists()
    assert not Path("run/wandb.json").exists()


def test_runs_of_a_sweep_may_be_left_untracked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    monkeypatch.setenv("WANDB_RUN_ID", "one")
    main([*TRAIN, "--steps", "80", "--track", "none"])
    assert Path("runs/sweep/one/agent.safetensors").exists()
    assert not Path("wandb").exists()
    with pytest.raises(SystemExit, match="track=elsewhere: use one of auto, none, wandb"):
        main(["baseline", "ucb1", "--track", "elsewhere"])
