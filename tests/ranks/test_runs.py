"""Runs of two ranks: one log, one checkpoint, one agent; whatever ends one of them, ends all."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch as th

from rl2_sb3 import RL2PPO
from rl2_sb3.agent_file import describe_agent
from rl2_sb3.algorithms.demonstrations import Demonstrations
from rl2_sb3.cli import main
from rl2_sb3.tasks import BernoulliBandit
from tests.ranks.launch import Ended, commands, launch

COMMON = ["--hidden-size", "8", "--episodes", "5", "--seed", "3", "--threads", "1", "--out", "run"]
TRAIN = ["train", "bandit", "--n-envs", "16", "--steps", "480", "--n-epochs", "1", *COMMON]
IMITATE = ["imitate", "bandit", "--batches", "12", "--n-envs", "64", *COMMON]
IMITATE += ["--trials-per-batch", "16", "--student-share", "0.5"]
ROLLOUT = 80
AFTER = 22
"""Calls of step after which something happens: in the fifth rollout of six."""
Weights = dict[str, th.Tensor]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was left alone."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("whole")
    os.chdir(folder)
    try:
        assert [each.status for each in launch(commands(TRAIN))] == [0, 0]
    finally:
        os.chdir(before)
    return folder / "run"


def weights(run: Path) -> Weights:
    return dict(RL2PPO.load(run / "checkpoint.zip").policy.state_dict())


def same_run(run: Path, other: Path) -> None:
    """The same weights, and the same rows but for times."""
    theirs = weights(other)
    for name, tensor in weights(run).items():
        th.testing.assert_close(tensor, theirs[name], rtol=0, atol=0, msg=name)
    assert rows(run) == rows(other)


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "progress.csv").open() as file:
        read = list(csv.DictReader(file))
    timed = ("time/fps", "time/time_elapsed", "ranks/")
    return [{k: v for k, v in row.items() if not k.startswith(timed)} for row in read]


def after(kind: type, name: str, calls: int, do: Callable[[], None]) -> None:
    """In this process, do something at a call of a method."""
    method, count = getattr(kind, name), [0]

    def counting(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        if count[0] == calls:
            do()
        return method(*args, **kwargs)

    setattr(kind, name, counting)


def launch_with(rank: int, prepare: Callable[[], None], words: list[str] = TRAIN) -> list[Ended]:
    """Two ranks, one of which is prepared in some way."""

    def prepared() -> None:
        prepare()
        main(words)

    does = commands(words)
    does[rank] = prepared
    return launch(does)


def send(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def test_one_rank_writes(whole: Path) -> None:
    first, second = (Path(whole.parent, f"rank-{rank}.txt").read_text() for rank in range(2))
    assert "the first of 2 ranks" in first
    assert "80 of 480 steps (17%), mean return of the last 8 trials " in first
    assert "480 steps, 480 of them now" in first
    assert second == ""
    assert describe_agent(whole / "agent.safetensors")["info"]["ranks"] == 2
    assert len(list(whole.glob("events.out.tfevents.*"))) == 1
    logged = list(csv.DictReader((whole / "progress.csv").open()))
    assert [int(row["time/total_timesteps"]) for row in logged] == list(range(80, 481, 80))
    assert all(float(row["ranks/bytes_sent"]) > 0 for row in logged)
    # The trials of both ranks: eights could not be multiples of a sixteenth.
    returns = [16 * float(row["trial/return"]) for row in logged]
    assert all(value == round(value) for value in returns)
    assert any(value % 2 for value in returns)


def test_a_signal_to_one_ends_both_at_the_same_rollout(whole: Path) -> None:
    hear = send(signal.SIGTERM)
    ended = launch_with(1, lambda: after(BernoulliBandit, "step", AFTER, hear))
    assert [each.status for each in ended] == [128 + signal.SIGTERM] * 2
    assert "Stopped by SIGTERM. Add --resume to go on from run" in ended[0].said
    assert ended[1].said == ""
    assert RL2PPO.load("run/checkpoint.zip").num_timesteps == 4 * ROLLOUT
    assert [each.status for each in launch(commands([*TRAIN, "--resume"]))] == [0, 0]
    same_run(Path("run"), whole)


def test_a_signal_in_an_update_waits_for_its_end() -> None:
    ended = launch_with(1, lambda: after(RL2PPO, "log_update", 3, send(signal.SIGTERM)))
    assert [each.status for each in ended] == [128 + signal.SIGTERM] * 2
    assert RL2PPO.load("run/checkpoint.zip").num_timesteps == 3 * ROLLOUT


def test_a_signal_in_imitation() -> None:
    assert [each.status for each in launch(commands(IMITATE))] == [0, 0]
    shutil.move("run", "whole")
    hear = send(signal.SIGTERM)
    ended = launch_with(1, lambda: after(Demonstrations, "play", 2, hear), IMITATE)
    assert [each.status for each in ended] == [128 + signal.SIGTERM] * 2
    assert RL2PPO.load("run/checkpoint.zip").num_timesteps == 8 * 16 * 5
    assert [each.status for each in launch(commands([*IMITATE, "--resume"]))] == [0, 0]
    same_run(Path("run"), Path("whole"))


@pytest.mark.parametrize("killed", [0, 1])
def test_a_rank_that_is_killed_ends_the_other(killed: int, whole: Path) -> None:
    often = [*TRAIN, "--minutes-between-checkpoints", "0"]
    die = send(signal.SIGKILL)
    ended = launch_with(killed, lambda: after(BernoulliBandit, "step", AFTER, die), often)
    assert ended[killed].status == -signal.SIGKILL
    survivor = ended[1 - killed]
    assert survivor.status == 1
    assert "Add --resume to go on from the last checkpoint, run/checkpoint.zip." in survivor.said
    assert f"Another rank has died or does not answer, so that rank {1 - killed}" in survivor.said
    assert "Traceback" not in survivor.said
    assert RL2PPO.load("run/checkpoint.zip").num_timesteps == 4 * ROLLOUT
    assert [each.status for each in launch(commands([*TRAIN, "--resume"]))] == [0, 0]
    same_run(Path("run"), whole)


def test_an_error_on_one_rank_keeps_what_was_learned_before() -> None:
    def fail() -> None:
        raise KeyError("mine")

    ended = launch_with(1, lambda: after(BernoulliBandit, "step", AFTER, fail))
    assert [each.status for each in ended] == [1, 1]
    assert "mine" in ended[1].said
    assert "Add --resume to go on from run" in ended[0].said
    assert RL2PPO.load("run/checkpoint.zip").num_timesteps == 4 * ROLLOUT


def test_another_number_of_ranks_goes_on_and_says_what_differs(whole: Path) -> None:
    shutil.copytree(whole, "run")
    longer = [*TRAIN, "--steps", "560", "--resume"]
    (alone,) = launch(commands(longer, ranks=1))
    assert alone.status == 0
    assert "was saved on 2 rank(s), now there are 1: weights" in alone.said
    assert [row["time/total_timesteps"] for row in rows(Path("run"))[-2:]] == ["480", "560"]
    assert "ranks" not in describe_agent("run/agent.safetensors")["info"]
    ended = launch(commands([*longer, "--steps", "640"], ranks=2))
    assert [each.status for each in ended] == [0, 0]
    assert "was saved on 1 rank(s), now there are 2: weights" in ended[0].said
    assert ended[1].said == ""
    assert describe_agent("run/agent.safetensors")["info"]["steps"] == 640


def test_other_options_are_refused_at_once() -> None:
    does = commands(TRAIN)
    does[1] = lambda: main([*TRAIN, "--gamma", "0.5"])
    first, second = launch(does)
    assert first.status == second.status == 1
    assert first.said == (
        "rl2 train: The ranks differ (gamma: 1.0 on rank 0, 0.5 on rank 1): give all of them the "
        "same command, and the same version.\n"
    )
    assert second.said == ""
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["--n-envs", "15"], "n_envs=15: 2 ranks share it evenly, such as n_envs=16."),
        (["--trials-per-batch", "1"], "a minibatch of 1 columns cannot be shared by 2 ranks"),
    ],
)
def test_what_the_ranks_cannot_share(words: list[str], refusal: str) -> None:
    first, second = launch(commands([*TRAIN, *words]))
    assert first.status == second.status == 1
    assert first.said.count("\n") == 1
    assert refusal in first.said
    assert second.said == ""


def test_a_folder_in_use_is_refused_by_the_first_alone(whole: Path) -> None:
    shutil.copytree(whole, "run")
    first, second = launch(commands(TRAIN))
    assert first.status == second.status == 1
    assert "run holds a run. Add --resume" in first.said
    assert second.said == ""


def test_a_launcher_that_says_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match="WORLD_SIZE=2 without RANK, MASTER_ADDR, MASTER_PORT"):
        main(TRAIN)


def test_torchrun(whole: Path) -> None:
    """The launcher of the docs."""
    words = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    words += ["-m", "rl2_sb3", *TRAIN]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("480 steps, 480 of them now") == 1
    same_run(Path("run"), whole)


def test_torchrun_that_is_told_to_stop(whole: Path) -> None:
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    words += ["--standalone", "-m", "rl2_sb3", *TRAIN, "--steps", "1e9", "--decay-steps", "480"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        for line in launcher.stdout:
            if " of 1,000,000,000 steps" in line:
                launcher.send_signal(signal.SIGTERM)
                break
        launcher.communicate()
    done = RL2PPO.load("run/checkpoint.zip").num_timesteps
    logged = rows(Path("run"))
    assert done >= ROLLOUT
    assert int(logged[-1]["time/total_timesteps"]) == done
    assert not Path("run/checkpoint.zip.part").exists()
