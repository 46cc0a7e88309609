"""How the native recurrence is built, and what happens where it cannot be."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch as th

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.files import cache_folder
from rl2_sb3.memories import native
from rl2_sb3.memories.native.build import build
from tests.memories.compilers import BUILDING, INSTEAD, Compiler, next_process

SOURCE = Path(native.__file__).with_name("gru.cpp")


def train() -> list[th.Tensor]:
    """The parameters after two updates."""
    trials = make_trials("bandit", 4, 5, seed=0)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 8}, seed=0).learn(4 * 5 * 2)
    return list(model.policy.parameters())


def test_switched_off_it_is_silent(
    new_process: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RL2_NATIVE", "0")
    assert native.load() == (None, "RL2_NATIVE=0")
    assert native.status() == "no (RL2_NATIVE=0)"
    assert capfd.readouterr() == ("", "")
    assert not new_process.exists()


def test_without_a_compiler_one_line_says_so_and_python_does_the_same(
    new_process: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RL2_NATIVE", "0")
    expected = train()
    monkeypatch.delenv("RL2_NATIVE")
    next_process(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert all(map(th.equal, train(), expected))
    why = "there is no C++ compiler (c++, g++ or clang++)."
    assert native.status() == f"no ({why})"
    assert capfd.readouterr().err == f"{INSTEAD}{why}\n"


def test_what_did_not_compile_is_not_tried_again_until_that_is_wanted(
    new_process: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    compiler = Compiler(tmp_path, r"printf 'gru.cpp: \377 is no letter\n' >&2; touch $2; exit 3")
    monkeypatch.setenv("CXX", f"'{compiler.path}' -pipe")
    train()
    (log,) = new_process.glob("*.log")
    assert capfd.readouterr().err == f"{BUILDING}{INSTEAD}the compiler failed, see {log}.\n"
    told = log.read_bytes()
    assert told.startswith(f"{compiler.path} -pipe -O3".encode())
    assert told.endswith(b"cpp: \xff is no letter\n\nexit status 3\n")

    next_process(monkeypatch)
    train()
    before = f"it could not be built before, see {log}; RL2_NATIVE=1 tries again.\n"
    assert capfd.readouterr().err == f"{INSTEAD}{before}"
    assert compiler.calls() == 1

    next_process(monkeypatch)
    monkeypatch.setenv("RL2_NATIVE", "1")
    assert native.load()[0] is None
    assert capfd.readouterr().err == f"{BUILDING}{INSTEAD}the compiler failed, see {log}.\n"
    assert compiler.calls() == 2
    assert not list(new_process.glob("*.so"))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("/nowhere/c++", "there is no C++ compiler '/nowhere/c++'."),
        ("/", "the compiler '/' cannot be run: Permission denied."),
        ("'c++", 'CXX="\'c++": No closing quotation.'),
    ],
)
def test_what_is_no_compiler(
    told: str,
    message: str,
    new_process: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CXX", told)
    assert native.load() == (None, message)
    assert capfd.readouterr().err.endswith(f"{INSTEAD}{message}\n")
    assert not list(new_process.glob("*.log"))  # tried again as soon as that is put right


def test_a_cache_that_cannot_be_written(
    new_process: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert native.load()[0] is None
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith(f"{INSTEAD}[Errno 20] Not a directory: ")
    assert told.endswith("Set XDG_CACHE_HOME to a folder to write to.\n")


def fake_run(monkeypatch: pytest.MonkeyPatch, compile_: Callable[[Path], object]) -> list[str]:
    """Compile by a function, and take everything for right; the list is of what was run."""
    run: list[str] = []

    def instead(command: list[str], **_: Any) -> Any:
        run.append(command[0])
        if command[0] != sys.executable:
            compile_(Path(command[command.index("-o") + 1]))
        return subprocess.CompletedProcess(command, 0, b"")

    monkeypatch.setenv("CXX", "the-compiler")
    monkeypatch.setattr(subprocess, "run", instead)
    return run


def test_it_is_built_once_for_a_source_a_torch_and_a_processor(
    new_process: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = fake_run(monkeypatch, Path.touch)
    source = tmp_path / "some.cpp"
    source.write_text("int one;")

    first = build(source)
    assert first.parent == new_process == cache_folder() / "native"
    assert build(source) == first
    assert run == ["the-compiler", sys.executable]
    assert capfd.readouterr().err == BUILDING
    lock = first.with_suffix(".lock")
    lock.unlink()
    lock.mkdir()  # a cache that can be read alone will do then
    assert build(source) == first

    built = {first}
    monkeypatch.setattr(platform, "processor", lambda: "another one")
    built.add(build(source))
    monkeypatch.setattr(th, "__version__", "0.0")
    built.add(build(source))
    monkeypatch.setattr(th.backends.cpu, "get_cpu_capability", lambda: "AVX3")
    built.add(build(source))
    source.write_text("int two;")
    built.add(build(source))
    assert len(built) == 5
    assert len(run) == 10
    assert set(new_process.glob("*.so")) == built


def test_an_interrupted_build_leaves_nothing_and_begins_anew(
    new_process: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(part: Path) -> None:
        part.touch()
        raise KeyboardInterrupt

    fake_run(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(SOURCE)
    assert {path.suffix for path in new_process.iterdir()} == {".lock"}
    fake_run(monkeypatch, Path.touch)
    assert build(SOURCE).exists()


def test_a_damaged_library_in_the_cache(
    new_process: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fake_run(monkeypatch, lambda part: part.write_text("nothing to load"))
    library = build(SOURCE)
    capfd.readouterr()
    assert native.load()[0] is None
    told = capfd.readouterr().err
    assert told.startswith(INSTEAD)
    assert str(library) in told
    assert told.count("\n") == 1
