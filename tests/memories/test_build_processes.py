"""What is built is tried in a process of its own, by one process alone, with what it has there."""

from __future__ import annotations

import platform
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch as th

from rl2_sb3.memories import native
from rl2_sb3.memories.gru import python_sequence
from rl2_sb3.memories.native import check as check_module
from rl2_sb3.memories.native.check import check
from tests.memories.compilers import BUILDING, INSTEAD, Compiler, start


@pytest.mark.parametrize("script", ["echo nothing > $2", "c++ -shared -fPIC {crash} -o $2"])
def test_what_does_not_work_in_a_process_of_its_own_is_refused(
    script: str,
    library: Path,
    new_process: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    crash = tmp_path / "crash.cpp"
    crash.write_text("#include <cstdlib>\nstruct Now { Now() { std::abort(); } } now;\n")
    compiler = Compiler(tmp_path, script.format(crash=shlex.quote(str(crash))))
    monkeypatch.setenv("CXX", str(compiler.path))
    assert native.load()[0] is None
    (log,) = new_process.glob("*.log")
    told = f"{BUILDING}{INSTEAD}what was built does not work here, see {log}.\n"
    assert capfd.readouterr().err == told
    assert not list(new_process.glob("*.so"))


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (1.0001, False)])
def test_other_numbers_are_found(
    factor: float, right: bool, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(*arguments: Any) -> th.Tensor:
        return factor * python_sequence(*arguments)

    monkeypatch.setattr(check_module, "python_sequence", off)
    if right:
        check(str(library))
    else:
        with pytest.raises(RuntimeError, match=r"precision=0, .*: off by 0\.0001"):
            check(str(library))


STATUS = """
import os, pathlib
pathlib.Path(os.environ["STARTED"], str(os.getpid())).touch()
from rl2_sb3.memories import native
from rl2_sb3.memories.gru import python_sequence
print(native.status())
"""


def test_processes_that_start_at_once_build_once(
    library: Path, new_process: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    started.mkdir()
    wait = f"for i in $(seq 600); do [ $(ls {started} | wc -l) = 2 ] && break; sleep .1; done"
    compiler = Compiler(tmp_path, f"{wait}\ncp {library} $2")
    both = [start(STATUS, CXX=str(compiler.path), STARTED=str(started)) for _ in range(2)]
    told = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    (built,) = new_process.glob("*.so")
    assert all(out.startswith("yes (") and out.endswith(f"{built})\n") for out, _ in told)
    assert "".join(err for _, err in told) == BUILDING
    assert compiler.calls() == 1


TRAIN = """
from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.memories import native
from rl2_sb3.memories.gru import python_sequence
trials = make_trials("bandit", 4, 5, seed=0)
network = {"hidden_size": 16, "precision": "bf16"}
RL2PPO("GRUPolicy", trials, seed=0, policy_kwargs=network).learn(4 * 5 * 2)
print(native.status())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are features of x86")
@pytest.mark.parametrize("capability", [None, "avx2", "default"])
def test_bf16_trains_where_the_processor_lacks_features(
    capability: str | None, library: Path, tmp_path: Path
) -> None:
    """Two real builds, of half a minute each: torch's vectors are others, and so is the library."""
    environment = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    if capability is not None:
        environment |= {"ATEN_CPU_CAPABILITY": capability, "XDG_CACHE_HOME": str(tmp_path)}
    process = start(TRAIN, **environment)
    out, err = process.communicate()
    assert process.returncode == 0, err
    vectors = (capability or th.backends.cpu.get_cpu_capability()).upper()
    assert out.startswith(f"yes ({vectors}, no bf16 products, ")
    assert err.count(BUILDING) == (capability is not None)
    assert INSTEAD not in err
