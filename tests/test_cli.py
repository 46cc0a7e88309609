import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th

from rl2_sb3 import RL2PPO, load_agent
from rl2_sb3.cli import main
from rl2_sb3.registry import AGENTS, TASKS
from tests.envs import ListedGoals, image_env

TINY = ["--hidden-size", "8", "--n-envs", "32", "--episodes", "5", "--no-progress"]


def rl2(*args: str) -> None:
    main(args)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("runs/x")


def test_train_evaluate_plot(out: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rl2("train", "bandit", "--arms", "3", "--steps", "640", "--out", str(out), *TINY)
    config = json.loads((out / "config.json").read_text())
    assert config["task"] == "bandit"
    assert config["options"] == {"arms": 3, "alpha": 1.0, "beta": 1.0}
    assert load_agent(out).info["steps"] == 640
    assert list(out.glob("events.out.tfevents*"))
    assert (out / "learning_curve.png").stat().st_size > 10_000

    rl2("evaluate", str(out), "--trials", "200", "--against", "random", "ucb1(c=0.1)")
    rows = list(csv.DictReader((out / "evaluation.csv").open()))
    assert [row["agent"] for row in rows] == ["RL2", "random", "ucb1(c=0.1)"]
    assert all(1.5 < float(row["mean"]) < 4.5 for row in rows)
    assert "ucb1(c=0.1)" in capsys.readouterr().out
    adaptation = list(csv.DictReader((out / "adaptation.csv").open()))
    assert [int(row["episode"]) for row in adaptation] == 3 * [1, 2, 3, 4, 5]
    per_episode = [float(row["mean"]) for row in adaptation if row["agent"] == "random"]
    assert sum(per_episode) == pytest.approx(float(rows[1]["mean"]), rel=1e-4)

    rl2("evaluate", str(out), "--trials", "20", "--name", "mine", "--append-to", "rows.csv")
    for words, message in (
        (["--append-to", "rows.csv"], "--append-to needs --name"),
        (["--name", "x", "--append-to", "config.json"], r"config.json lacks the columns task"),
    ):
        Path("config.json").write_text("{}\n")
        with pytest.raises(SystemExit, match=message):
            rl2("evaluate", str(out), "--trials", "2", *words)
    (line,) = csv.DictReader(Path("rows.csv").read_text().splitlines())
    assert line["agent"] == "mine"
    again = ("--name", "mine", "--append-to", "rows.csv", "--against", "random")
    rl2("evaluate", str(out), "--trials", "20", *again)
    lines = list(csv.DictReader(Path("rows.csv").read_text().splitlines()))
    assert [each["agent"] for each in lines] == ["mine", "random"]
    assert lines[0] == line
    monkeypatch.setattr(AGENTS, "names", lambda: ["by-name"])
    monkeypatch.setattr(AGENTS, "load", lambda name: out / "agent.safetensors")
    rl2("evaluate", "by-name", "--trials", "20")  # not beside a file that is installed
    assert Path("runs/agents/by-name/evaluation.csv").exists()
    message = r"bandit arms=2 .*: runs/x was trained with the action Discrete\(3\), not"
    with pytest.raises(SystemExit, match=message):
        rl2("evaluate", str(out), "--options", "arms=2")
    with pytest.raises(SystemExit, match="Give another"):
        rl2("evaluate", str(out), "--name", "random", "--against", "random")

    rl2("plot", str(out), "--out", "curve.svg", "--reference", "optimum", "4")
    assert "optimum" in Path("curve.svg").read_text()


def test_evaluate_on_tasks_that_are_held_out(
    out: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TASKS, "names", lambda: ["goals"])
    monkeypatch.setattr(TASKS, "load", lambda name: ListedGoals)
    common = "--hidden-size", "8", "--episodes", "2", "--no-progress", "--workers", "threads"
    rl2("train", "goals", "--steps", "1500", "--out", str(out), *common)
    rl2("evaluate", str(out), "--workers", "threads")
    printed = capsys.readouterr().out
    assert "Episodes that succeed" in printed
    assert re.search(r"\d\.\d% ", printed)
    (row,) = csv.DictReader((out / "evaluation.csv").open())
    assert (row["options"], row["trials"]) == ("sign=-1 dies=0", "6")  # each of them once
    first, second = csv.DictReader((out / "successes.csv").open())
    assert (first["episode"], first["no_longer_than_first"], second["trials"]) == ("1", "", "6")
    assert 0 <= float(first["success"]) <= 1
    keep = "--name", "mine", "--append-to", str(out / "table.csv"), "--against", "random"
    for seed in ("0", "1", "1"):  # the last replaces what was there
        rl2("evaluate", str(out), "--seed", seed, *keep)
    kept = list(csv.DictReader((out / "table-successes.csv").open()))
    told = [(row["agent"], row["episode"], row["seed"]) for row in kept]
    agents = [(agent, episode) for agent in ("mine", "random") for episode in ("1", "2")]
    assert told == [(*each, seed) for seed in ("0", "1") for each in agents]
    assert kept[0]["options"] == "sign=-1 dies=0"
    for changed, options in (
        (["dies=30"], "sign=-1 dies=30"),  # it is still what is held out
        (["sign=1", "dies=30"], "sign=1 dies=30"),
    ):
        rl2("evaluate", str(out), "--options", *changed, "--trials", "7", "--overwrite")
        (row,) = csv.DictReader((out / "evaluation.csv").open())
        assert (row["options"], row["trials"]) == (options, "7")
    with pytest.raises(SystemExit, match=r"--options sign=x: bad operand"):
        rl2("evaluate", str(out), "--options", "sign=x")
    with pytest.raises(SystemExit, match="no option 'size'"):
        rl2("evaluate", str(out), "--options", "size=2")
    with pytest.raises(SystemExit, match="--options sign: write name=value"):
        rl2("evaluate", str(out), "--options", "sign")


def test_steps_in_powers_of_ten(out: Path, capsys: Any) -> None:
    rl2("train", "bandit", "--steps", "1.6e2", "--out", str(out), *TINY)
    assert json.loads((out / "config.json").read_text())["steps"] == 160
    with pytest.raises(SystemExit):
        rl2("train", "bandit", "--steps", "1.5", "--out", str(out), *TINY)
    assert "1.5 is not a whole number" in capsys.readouterr().err


def test_whole_rollouts_of_far_more_steps_are_told(out: Path, capsys: Any) -> None:
    for steps, note in (("150", False), ("100", True)):  # a rollout is of 32 trials of 5 steps
        rl2("train", "bandit", "--steps", steps, "--out", str(out / steps), *TINY)
        told = "160 are taken" in capsys.readouterr().err
        assert told == note


def test_both_spellings_and_presets(out: Any) -> None:
    common = ["train", "bandit", "--steps", "160", *TINY]
    rl2(*common, "--out", "runs/a", "--gae-lambda", "0.5")
    rl2(*common, "--out", "runs/b", "--gae_lambda", "0.5")
    rl2(*common, "--out", "runs/c", "--preset", "paper", "--gamma", "0.9")
    a, b, c = (json.loads(Path(f"runs/{x}/config.json").read_text()) for x in "abc")
    assert a == b
    assert a["gae_lambda"] == 0.5
    assert (c["algorithm"], c["candidate"], c["weight_norm"]) == ("trpo", "relu", True)
    assert (c["gamma"], c["gae_lambda"], c["clip_range"]) == (0.9, 0.3, 0.1)


def test_a_gymnasium_environment_by_its_id(out: Any) -> None:
    args = "train CartPole-v1 --steps 512 --n-steps 64 --n-envs 4 --episodes 2 --hidden-size 8"
    rl2(*args.split(), "--no-progress", "--out", str(out))
    rl2("evaluate", str(out), "--trials", "4")
    assert (out / "adaptation.png").exists()


def test_a_resumed_run_equals_an_uninterrupted_one(out: Any) -> None:
    common = ["train", "bandit", "--seed", "3", *TINY, "--no-lr-decay", "--no-ent-decay"]
    rl2(*common, "--steps", "1600", "--out", "runs/whole")
    rl2(*common, "--steps", "800", "--out", "runs/parts")
    rl2(*common, "--steps", "1600", "--out", "runs/parts", "--resume")
    whole, parts = (
        RL2PPO.load(f"runs/{x}/checkpoint.zip").policy.state_dict() for x in ("whole", "parts")
    )
    for key, value in whole.items():
        np.testing.assert_array_equal(value, parts[key], err_msg=key)
    assert not Path("runs/parts/progress-2.csv").exists()


def test_killed_in_training_then_resumed(out: Any) -> None:
    """kill -9 leaves the last good checkpoint, and the run goes on from it."""
    command = [sys.executable, "-m", "rl2_sb3", "train", "bandit", *TINY, "--out", str(out)]
    endless = [*command, "--steps", "100000000", "--minutes-between-checkpoints", "0"]
    process = subprocess.Popen(endless, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not (out / "checkpoint.zip").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps = RL2PPO.load(out / "checkpoint.zip").num_timesteps
    assert steps > 0
    rl2(*command[3:], "--steps", str(steps + 320), "--resume")
    assert load_agent(out).info["steps"] == steps + 320


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian"], "Did you mean 'train'"),
        (["train", "bandti"], "Did you mean 'bandit'"),
        (["train", "bandit", "--preset", "papers"], "Did you mean 'paper'"),
        (["train", "bandit", "--arms", "0"], "at least one arm"),
        (["train", "bandit", "--episodes", "0"], "episodes=0"),
        (["train", "bandit", "--gamma", "1.5"], "gamma=1.5: use a number from 0 to 1"),
        (
            ["train", "bandit", "--value-lambda", "-1"],
            "value_lambda=-1.0: use a number",
        ),
        (["evaluate", "runs/nothing"], "no run or agent's file"),
        (["tasks", "bandti"], "Did you mean 'bandit'"),
    ],
)
def test_errors_give_the_way_out(args: Any, message: Any, out: Any, capsys: Any) -> None:
    with pytest.raises(SystemExit) as raised:
        main(args)
    assert raised.value.code != 0
    assert message in f"{raised.value.code}{capsys.readouterr().err}"


def test_a_folder_is_not_overwritten_by_mistake(out: Any) -> None:
    common = ["train", "bandit", "--steps", "160", "--out", str(out), *TINY]
    rl2(*common)
    with pytest.raises(SystemExit, match="--resume"):
        rl2(*common)
    with pytest.raises(SystemExit, match=r"gamma: 1\.0 then, 0.5 now"):
        rl2(*common, "--gamma", "0.5", "--resume")
    with pytest.raises(SystemExit, match=r"'arms': 5.* then, .*'arms': 3.* now"):
        rl2(*common, "--arms", "3", "--resume")
    rl2(*common, "--gamma", "0.5", "--overwrite")
    assert json.loads((out / "config.json").read_text())["gamma"] == 0.5


def test_baselines_with_wrong_parameters(out: Any) -> None:
    rl2("train", "bandit", "--steps", "160", "--out", str(out), *TINY)
    for spec, message in [
        ("ucb2", "Did you mean 'ucb1'"),
        ("ucb1(d=1)", "no parameter 'd'"),
        ("ucb1(c=", "is no baseline"),
    ]:
        with pytest.raises(SystemExit, match=message):
            rl2("evaluate", str(out), "--trials", "10", "--against", spec)
    with pytest.raises(SystemExit, match="episodes=0: use a whole number from 1 on"):
        rl2("evaluate", str(out), "--episodes", "0")


def test_overwriting_removes_the_run_and_nothing_else(out: Path) -> None:
    common = ["train", "bandit", "--steps", "160", "--out", str(out), *TINY]
    rl2(*common)
    (out / "notes.txt").write_text("keep me")
    with pytest.raises(SystemExit, match="episodes=0"):
        rl2(*common, "--overwrite", "--episodes", "0")
    assert (out / "checkpoint.zip").exists()  # nothing is removed before the new run is possible
    rl2(*common, "--overwrite")
    assert (out / "notes.txt").exists()


def test_random_actions_on_any_task(out: Path) -> None:
    args = "train Pendulum-v1 --steps 64 --n-steps 8 --n-envs 4 --episodes 2 --hidden-size 4"
    rl2(*args.split(), "--no-progress", "--out", str(out))
    rl2("evaluate", str(out), "--trials", "3", "--against", "random")
    rows = csv.DictReader((out / "evaluation.csv").read_text().splitlines())
    assert all(-4000 < float(row["mean"]) < 0 for row in rows)


def test_the_papers_rollouts_have_250_000_steps(out: Path) -> None:
    tiny = ["--hidden-size", "2", "--episodes", "50", "--no-progress", "--out", str(out)]
    rl2("train", "bandit", "--preset", "paper", "--steps", "1", "--steps-per-rollout", "300", *tiny)
    assert load_agent(out).info["steps"] == 300
    with pytest.raises(SystemExit, match="differ in length"):
        rl2("train", "CartPole-v1", "--preset", "paper", "--out", "runs/y")


def test_tasks_lists_and_checks(capsys: Any) -> None:
    rl2("tasks")
    assert "bandit" in capsys.readouterr().out
    rl2("tasks", "bandit")
    assert "--arms 5" in capsys.readouterr().out
    rl2("tasks", "CartPole-v1")
    assert "CartPole-v1 can be trained on: its seed is the task" in capsys.readouterr().out
    rl2("tasks", "gymnasium.envs.classic_control:CartPole-v1")
    assert "can be trained on" in capsys.readouterr().out


def test_a_network_without_convolutions_is_remarked_on_images(out: Path, capsys: Any) -> None:
    gym.register("Images-v0", lambda **_: image_env())
    try:
        common = ["train", "Images-v0", "--steps", "8", "--n-envs", "2", "--n-steps", "4"]
        for policy, remarked in (("GRUPolicy", True), ("CnnGRUPolicy", False)):
            run = [*common, "--policy", policy, "--hidden-size", "8", "--out", str(out / policy)]
            rl2(*run, "--no-progress")
            assert (
                "GRUPolicy flattens images (observation)" in capsys.readouterr().err
            ) == remarked
    finally:
        del gym.registry["Images-v0"]


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("GRUPolcy", "Did you mean 'GRUPolicy'"),
        ("rl2_sb3.policies:Missing", "There is no 'rl2_sb3.policies:Missing' here"),
        ("rl2_sb3:RL2PPO", "is no GRUPolicy"),
    ],
)
def test_a_policy_that_there_is_not_is_refused(policy: str, told: str, out: Path) -> None:
    with pytest.raises(SystemExit, match=told):
        rl2("train", "bandit", "--policy", policy, "--no-progress", "--out", str(out))
    assert not out.exists()


@pytest.mark.parametrize("command", ["train", "imitate"])
def test_threads_are_those_given_or_chosen_by_the_networks_size(
    command: str, out: Path, capsys: Any
) -> None:
    th.set_num_threads(3)
    common = [command, "bandit", "--hidden-size", "8", "--no-progress", "--out", str(out)]
    imitation = ["--trials-per-batch", "4", "--batches", "2"]
    common += imitation if command == "imitate" else ["--n-envs", "4"]
    try:
        for part, (more, threads, taken) in enumerate(
            (
                (["--threads", "2"], 2, 2),
                (["--resume"], None, 1),  # what is said now counts
                (["--resume", "--threads", "4"], 4, 4),
            ),
            start=1,
        ):
            rl2(*common, *more, *(["--steps", str(40 * part)] if command == "train" else []))
            assert json.loads((out / "config.json").read_text())["threads"] == threads
            assert RL2PPO.load(out / "checkpoint.zip").threads == threads
            words = f"CPU, {taken} threads"
            assert load_agent(out).info["hardware"].endswith(words)
            assert f"{words}. " in capsys.readouterr().out
            assert th.get_num_threads() == 3
    finally:
        th.set_num_threads(1)
    with pytest.raises(SystemExit, match="threads=0: use a whole number from 1 on"):
        rl2(*common, "--threads", "0", "--overwrite")
    assert (out / "checkpoint.zip").exists()
