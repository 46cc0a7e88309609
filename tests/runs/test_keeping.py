"""A signal, an error or a worker's death costs the rollout in progress and no more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl2_sb3 import RL2PPO
from rl2_sb3.algorithms.demonstrations import Demonstrations
from rl2_sb3.algorithms.ppo import RL2PPO as PPO
from rl2_sb3.cli import main
from rl2_sb3.tasks import BernoulliBandit

COMMON = ["--hidden-size", "8", "--episodes", "5", "--no-progress", "--seed", "3"]
TRAIN = ["train", "bandit", "--n-envs", "16", "--steps", "800", *COMMON]
IMITATE = ["imitate", "bandit", "--batches", "20", "--n-envs", "64", *COMMON]
IMITATE += ["--trials-per-batch", "16"]
AFTER = 42
"""Calls after which something happens: of steps, in the ninth rollout of training."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def no_signal_is_ignored() -> Iterator[None]:
    """Not even where the tests themselves run under nohup, or in a shell's background."""
    defaults: dict[signal.Signals, Any] = {
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
    }
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def after(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, calls: int, do: Any) -> None:
    """Do something at a call of a method."""
    method, count = getattr(kind, name), [0]

    def counting(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        if count[0] == calls:
            do()
        return method(*args, **kwargs)

    monkeypatch.setattr(kind, name, counting)


def same_weights(run: str, other: str) -> None:
    a, b = (RL2PPO.load(f"{x}/checkpoint.zip").policy.state_dict() for x in (run, other))
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)


def send(number: signal.Signals) -> Any:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_rollout(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    main([*TRAIN, "--out", "whole"])
    handlers = [signal.getsignal(each) for each in signal.Signals]
    with monkeypatch.context() as patch:
        after(patch, BernoulliBandit, "step", AFTER, send(number))
        with pytest.raises(SystemExit) as ended:
            main([*TRAIN, "--out", "parts"])
    assert ended.value.code == 128 + number
    assert f"Stopped by {number.name}. Add --resume to go on from parts" in capsys.readouterr().err
    assert RL2PPO.load("parts/checkpoint.zip").num_timesteps == 640  # whole rollouts of 80 steps
    assert not Path("parts/agent.safetensors").exists()
    assert [signal.getsignal(each) for each in signal.Signals] == handlers
    main([*TRAIN, "--out", "parts", "--resume"])
    same_weights("parts", "whole")


def test_a_signal_in_an_update_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    main([*TRAIN, "--out", "whole"])
    with monkeypatch.context() as patch:
        after(patch, PPO, "log_update", 5, send(signal.SIGTERM))
        with pytest.raises(SystemExit) as ended:
            main([*TRAIN, "--out", "parts"])
    assert ended.value.code == 128 + signal.SIGTERM
    assert RL2PPO.load("parts/checkpoint.zip").num_timesteps == 400
    main([*TRAIN, "--out", "parts", "--resume"])
    same_weights("parts", "whole")


def test_a_signal_in_the_last_update_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    after(monkeypatch, PPO, "log_update", 10, send(signal.SIGTERM))
    main([*TRAIN, "--out", "run"])
    assert Path("run/agent.safetensors").exists()


@pytest.mark.parametrize(
    ("kind", "name", "calls", "batches"),
    [(BernoulliBandit, "step", 12, 8), (Demonstrations, "play", 4, 12)],
)
def test_a_signal_in_imitation(
    kind: type, name: str, calls: int, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    main([*IMITATE, "--out", "whole"])
    with monkeypatch.context() as patch:
        after(patch, kind, name, calls, send(signal.SIGTERM))
        with pytest.raises(SystemExit) as ended:
            main([*IMITATE, "--out", "parts"])
    assert ended.value.code == 128 + signal.SIGTERM
    assert RL2PPO.load("parts/checkpoint.zip").num_timesteps == batches * 16 * 5
    main([*IMITATE, "--out", "parts", "--resume"])
    same_weights("parts", "whole")
    logs = [Path(f"{run}/progress.csv").read_text() for run in ("parts", "whole")]
    assert logs[0] == logs[1]


def test_a_second_signal_ends_the_process() -> None:
    """In a process of its own, whose update takes the first one in and never ends."""
    child = os.fork()
    if child == 0:
        update = PPO.log_update

        def twice(*args: Any) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            update(*args)

        setattr(PPO, "log_update", twice)  # noqa: B010
        try:
            main([*TRAIN, "--out", "run"])
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM


def test_an_ignored_signal_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    after(monkeypatch, BernoulliBandit, "step", AFTER, send(signal.SIGHUP))
    main([*TRAIN, "--out", "run"])
    assert Path("run/agent.safetensors").exists()


def test_before_the_first_rollout_is_over_nothing_is_saved(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    after(monkeypatch, BernoulliBandit, "step", 3, send(signal.SIGTERM))
    with pytest.raises(SystemExit):
        main([*TRAIN, "--out", "run"])
    assert "Before the first checkpoint: nothing is saved." in capsys.readouterr().err
    assert not Path("run/checkpoint.zip").exists()


@pytest.mark.parametrize("error", [KeyError("mine"), EOFError("a worker died")])
def test_an_error_in_a_rollout_keeps_what_was_learned_before(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    with monkeypatch.context() as patch:
        after(patch, BernoulliBandit, "step", AFTER, fail)
        with pytest.raises(SystemExit, match=r"mine|An environment's process has died"):
            main([*TRAIN, "--out", "run"])
    assert RL2PPO.load("run/checkpoint.zip").num_timesteps == 640


def test_a_worker_that_died_of_our_signal_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ends a group of processes may reach a worker first: its pipe breaks before we know."""

    def broken() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        raise BrokenPipeError

    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        after(monkeypatch, BernoulliBandit, "step", AFTER, broken)
        with pytest.raises(SystemExit) as ended:
            main([*TRAIN, "--out", "run"])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended.value.code == 128 + signal.SIGTERM
    assert RL2PPO.load("run/checkpoint.zip").num_timesteps == 640


def test_an_environment_that_exits_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave() -> None:
        raise SystemExit(0)

    after(monkeypatch, BernoulliBandit, "step", AFTER, leave)
    with pytest.raises(SystemExit, match=r"The task's code ended the process: .*sys\.exit\(0\)"):
        main([*TRAIN, "--out", "run"])


def test_output_that_is_no_terminal_tells_what_happens(capsys: Any) -> None:
    words = [word for word in TRAIN if word != "--no-progress"]
    main([*words, "--out", "run", "--gamma", "0.9"])
    lines = capsys.readouterr().out.splitlines()
    assert all(time.strptime(line[:19], "%Y-%m-%d %H:%M:%S") for line in (*lines[:1], *lines[2:]))
    settings = lines.pop(1)
    begun, line, end = (each[20:] for each in lines)
    assert begun.startswith("run: begun on ")
    assert f"process {os.getpid()}" in begun
    for told in ("task=bandit", "steps=800", "gamma=0.9", "seed=3", "'arms': 5"):
        assert told in settings
    assert "gae_lambda" not in settings  # it is the default
    assert line.startswith("80 of 800 steps (10%), mean return of the last 16 trials ")
    assert line.endswith(" left")
    assert end.startswith("800 steps, 800 of them now")
    main([*words, "--out", "run", "--gamma", "0.9", "--resume", "--steps", "880"])
    assert "resumed after 800 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (
            send(signal.SIGTERM),
            "Stopped by SIGTERM. Add --resume to go on from run/checkpoint.zip.",
        ),
        (
            lambda: dict[str, int]()["mine"],
            "Ended by KeyError: 'mine'. Add --resume to go on from run/checkpoint",
        ),
    ],
)
def test_the_log_says_how_a_run_ended(
    what: Any, told: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    after(monkeypatch, BernoulliBandit, "step", AFTER, what)
    with pytest.raises(SystemExit):
        main([*(word for word in TRAIN if word != "--no-progress"), "--out", "run"])
    assert capsys.readouterr().out.splitlines()[-1][20:].startswith(told)


@pytest.mark.parametrize("update", [5, 10])
def test_the_log_says_that_learning_diverged(
    update: int, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """In the middle of a run, and in its last update."""
    log, updates = PPO.log_update, [0]

    def diverging(model: PPO, figures: Any) -> None:
        log(model, figures)
        updates[0] += 1
        if updates[0] == update:
            next(model.policy.parameters()).data.fill_(np.nan)

    monkeypatch.setattr(PPO, "log_update", diverging)
    with pytest.raises(SystemExit):
        main([*(word for word in TRAIN if word != "--no-progress"), "--out", "run"])
    last = capsys.readouterr().out.splitlines()[-1][20:]
    assert last.startswith("Ended by ValueError: ")
    assert "diverged" in last
    assert last.endswith(" Add --resume to go on from the last checkpoint, run/checkpoint.zip.")


def test_the_log_says_that_an_environment_died(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def die() -> None:
        raise EOFError

    after(monkeypatch, BernoulliBandit, "step", AFTER, die)
    with pytest.raises(SystemExit):
        main([*(word for word in TRAIN if word != "--no-progress"), "--out", "run"])
    last = capsys.readouterr().out.splitlines()[-1][20:]
    assert last.startswith("Ended by RuntimeError: An environment's process has died; what it said")


def test_a_file_can_be_read_while_the_run_goes_on() -> None:
    words = ["100000000" if word == "800" else word for word in TRAIN if word != "--no-progress"]
    command = [sys.executable, "-m", "rl2_sb3", *words, "--out", "run"]
    with Path("log").open("w") as log, subprocess.Popen(command, stdout=log) as run:
        try:
            end = time.monotonic() + 120
            while "(0%)" not in (told := Path("log").read_text()):
                assert run.poll() is None
                assert time.monotonic() < end
                time.sleep(0.1)
        finally:
            run.kill()
    assert "run: begun on " in told
    assert "Settings: task=bandit" in told


def test_lines_have_the_divergence_from_a_teacher(capsys: Any) -> None:
    main([*(word for word in IMITATE if word != "--no-progress"), "--out", "run"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2][20:].startswith("320 of 1,600 steps (20%), KL from teacher ")
