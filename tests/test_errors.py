"""How commands end: one line where a user can mend it, a traceback where it is the user's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from gymnasium import spaces

from rl2_sb3.cli import main
from rl2_sb3.cli.errors import words
from rl2_sb3.registry import TASKS, Registry
from rl2_sb3.tasks import BernoulliBandit
from tests.envs import ListedGoals, SmallEnv, vector

TINY = ["--hidden-size", "4", "--episodes", "2", "--steps", "64", "--n-envs", "2", "--no-progress"]
Add = Callable[[type[Any]], None]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Add:
    """Register tasks as "mine"."""
    return lambda tasks: monkeypatch.setitem(TASKS._registered, "mine", tasks)


def ended(*args: str) -> str:
    with pytest.raises(SystemExit) as error:
        main(args)
    assert error.value.code not in (0, None)
    return str(error.value.code)


@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError, RuntimeError, OSError])
def test_a_users_error_keeps_its_traceback(error: type[Exception], add: Add) -> None:
    class Mine(BernoulliBandit):
        def step(self, *args: Any) -> Any:
            return self.break_down()

        def break_down(self) -> Any:
            raise error("mine")

    add(Mine)
    told = ended("train", "mine", *TINY).splitlines()
    assert told[0] == "rl2 train: the task's or plugin's own code raised an error."
    assert [line.split(", in ")[1] for line in told if line.startswith("  File")] == [
        "step",
        "break_down",
    ]
    assert told[-1] == f"{error.__name__}: {error('mine')}"
    assert __file__ in told[2]


def test_a_constructor_refuses_in_a_line(add: Add) -> None:
    class Mine(BernoulliBandit):
        def __post_init__(self) -> None:
            raise ValueError("arms=5: I take no five.")

    add(Mine)
    assert ended("train", "mine", *TINY) == "rl2 train: arms=5: I take no five."


def test_debug_shows_all(add: Add) -> None:
    class Mine(BernoulliBandit):
        def step(self, *args: Any) -> Any:
            raise KeyError("mine")

    add(Mine)
    for args in (["--debug", "train", "mine"], ["train", "mine", "--debug"]):
        with pytest.raises(KeyError, match="mine"):
            main([*args, *TINY, "--overwrite"])
    with pytest.raises(ValueError, match="gamma=7"):
        main(["train", "bandit", "--gamma", "7", "--debug"])


def test_a_fault_of_ours_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl2_sb3.runs.training.ALGORITHMS", {})
    told = ended("train", "bandit", *TINY)
    assert told.startswith("rl2 train: KeyError: 'ppo' (")
    assert "training.py, line " in told
    assert "This is a fault of rl2-sb3: the same command with --debug" in told


def test_a_file_in_the_way_is_a_line() -> None:
    Path("file").touch()
    assert ended("train", "bandit", *TINY, "--out", "file/run").startswith("rl2 train: file/run")
    assert "Traceback" not in words(OSError(28, "No space left on device", "x"))
    assert words(OSError(28, "No space left on device", "x")) == "x: No space left on device."
    assert words(OSError("odd")) == "odd"
    assert words(MemoryError()) == "MemoryError"


def test_a_folder_that_is_read_only_is_a_line() -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    Path("closed").mkdir(mode=0o500)
    assert ended("train", "bandit", *TINY, "--out", "closed/run").endswith("Permission denied.")


@pytest.mark.parametrize("status", ["", "0", "'bye'"])
def test_a_plugin_that_exits_at_import(
    status: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forget: Callable[[str], None],
) -> None:
    site = tmp_path / "leaver"
    info = site / "leaver-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rl2_sb3.tasks]\nleaving = leaver:thing\n")
    (site / "leaver.py").write_text(f"import sys\nsys.exit({status})\n")
    monkeypatch.syspath_prepend(site)
    forget("leaver")
    told = ended("train", "leaving", *TINY)
    assert "leaver:thing of leaver 1.0 raised SystemExit" in told
    with pytest.raises(RuntimeError, match="raised SystemExit"):
        Registry("rl2_sb3.tasks", "task").load("leaving")


def test_tasks_refuses_what_train_refuses(add: Add) -> None:
    class Mine(BernoulliBandit):
        def __init__(self, steps: int = 3) -> None:
            super().__init__()
            object.__setattr__(self, "steps", steps)

    add(Mine)
    for command in (["tasks", "mine"], ["train", "mine", *TINY]):
        assert "options with names that the command line takes itself: steps" in ended(*command)


def test_a_package_that_gymnasium_misses_is_named() -> None:
    def needy(**_: Any) -> gym.Env[Any, Any]:
        raise gym.error.DependencyNotInstalled("install it by `pip install box`")

    gym.register("Needy-v0", needy)
    try:
        told = ended("tasks", "Needy-v0")
    finally:
        del gym.registry["Needy-v0"]
    assert told == "rl2 tasks: Needy-v0 needs a package: install it by `pip install box`"


@pytest.mark.parametrize(
    "command",
    [
        ["train", "Gym-v0", *TINY, "--n-steps", "8"],
        ["evaluate", "random", "--task=Gym-v0", "--episodes=2"],
    ],
)
@pytest.mark.filterwarnings("ignore:.*old step API")
def test_what_gymnasiums_checker_finds_is_no_fault_of_ours(command: list[str]) -> None:
    class Gym(SmallEnv):
        def step(self, action: Any) -> Any:
            return super().step(action)[:4]

    gym.register("Gym-v0", lambda **_: Gym(vector(2), spaces.Discrete(2)))
    try:
        told = ended(*command)
    finally:
        del gym.registry["Gym-v0"]
    assert told.startswith(
        f"rl2 {command[0]}: the environment breaks Gymnasium's contract: The `inf"
    )


def test_the_folders_name_is_no_task() -> None:
    main(["train", "CartPole-v1", "--n-steps", "8", *TINY, "--out", "bandit"])
    told = ended("train", "CartPole-v1", *TINY, "--out", "bandit", "--arms", "3", "--overwrite")
    assert told == "2"  # tyro's: there is no such option


def test_version(capsys: Any) -> None:
    for word in ("--version", "-V"):
        main([word])
        assert capsys.readouterr().out == f"rl2-sb3 {version('rl2-sb3')}\n"


def test_a_reader_that_goes_is_no_error() -> None:
    command = [sys.executable, "-m", "rl2_sb3", "train", "bandit", "--help"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_infinite_parameters_of_baselines() -> None:
    assert ended("baseline", "ucb1", "--c", "1e400") == "rl2 baseline: c=inf: use a finite number."
    play = ["--task", "bandit", "--episodes", "2", "--trials", "2"]
    assert "c=inf: use a finite number" in ended("evaluate", "ucb1(c=1e400)", *play)


@pytest.mark.parametrize(
    ("args", "option"),
    [
        (["evaluate", "ucb1", "--trials", "0"], "trials"),
        (["evaluate", "ucb1", "--seed", "-1"], "seed"),
        (["evaluate", "ucb1", "--threads", "0"], "threads"),
        (["sweep", "x.yaml", "--workers", "0"], "workers"),
        (["sweep", "x.yaml", "--points", "-1"], "points"),
        (["watch", "x", "--fps", "0"], "fps"),
        (["watch", "x", "--trial", "-1"], "trial"),
    ],
)
def test_ranges_of_other_commands(args: list[str], option: str) -> None:
    assert f": {option}=" in ended(*args)
    assert "use a whole number from" in ended(*args)


def test_environments_that_are_not_deterministic_are_noticed(add: Add) -> None:
    class Mine(ListedGoals):
        def make_env(self) -> Any:
            return Restless(super().make_env())

    class Restless(gym.ObservationWrapper[Any, Any, Any]):
        def observation(self, observation: Any) -> Any:
            return self.observation_space.sample()  # of a generator that no reset seeds

    words = ["mine", "--n-steps", "8", *TINY[:4], *TINY[6:], "--decay-steps", "64"]
    add(ListedGoals)
    main(["train", *words, "--steps", "16", "--out", "same"])
    main(["train", *words, "--steps", "32", "--out", "same", "--resume"])
    add(Mine)
    main(["train", *words, "--steps", "16"])
    with pytest.warns(UserWarning, match="do not do the same again .* all trials begin anew"):
        main(["train", *words, "--steps", "32", "--resume"])


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
@pytest.mark.parametrize(
    "command", [["train", "bandit"], ["imitate", "bandit"], ["evaluate", "random"]]
)
def test_cuda_where_there_is_none(
    command: list[str], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert ended(*command, "--device", device) == (
        f"rl2 {command[0]}: CUDA is not available to torch {version('torch')}: --device cpu, or "
        "auto."
    )


def test_a_device_that_is_chosen() -> None:
    main(["train", "bandit", *TINY, "--out", "run", "--device", "auto"])
    main(["evaluate", "run", "--trials", "10", "--device", "auto"])
