"""Engines come and go: nothing is left behind, and one that dies is replaced."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rl2_vizdoom")

from rl2_vizdoom import engine
from rl2_vizdoom.env import FORWARD, MazeEnv
from rl2_vizdoom.folder import process_folder, wad_file
from rl2_vizdoom.mazes import Maze

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads Linux's /proc")

CORRIDOR = Maze.parse("#######\n#S...G#\n#.###.#\n#.....#\n#######")
SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def env() -> Iterator[MazeEnv]:
    env = MazeEnv([CORRIDOR])
    env.reset(options={"task": 0})
    yield env
    env.close()


def children() -> set[int]:
    """The engines that this process has started, as the system sees them."""
    pids: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        pids |= set(map(int, (task / "children").read_text().split()))
    return {pid for pid in pids if "vizdoom" in Path(f"/proc/{pid}/cmdline").read_text()}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # ViZDoom waits for it too, and may be first
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # dead, and left for its owner to find


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def test_an_engine_killed_within_a_step_is_reported(
    env: MazeEnv, caplog: pytest.LogCaptureFixture
) -> None:
    seen, *_ = env.step(FORWARD)
    (pid,) = children() & {env._engine.pid}
    kill(pid)
    last, reward, terminated, truncated, info = env.step(FORWARD)
    np.testing.assert_array_equal(last, seen)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info == {"rl2": {"lost": True}, "length": 2}
    assert f"process id {pid}" in caplog.text
    env.reset(options={"task": 0})
    assert env._engine.pid != pid
    after, *_, info = env.step(FORWARD)
    assert "rl2" not in info
    np.testing.assert_array_equal(after, seen)


def test_an_engine_killed_between_episodes_loses_nothing(
    env: MazeEnv, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = env.reset(options={"task": 0})
    pid = env._engine.pid
    kill(pid)
    again, info = env.reset(options={"task": 0})
    np.testing.assert_array_equal(first, again)
    assert info["length"] == 0
    assert f"process id {pid}" in caplog.text


def test_an_engine_is_started_afresh_after_many_resets(
    env: MazeEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RESETS", 3)
    pids = []
    for _ in range(5):
        env.reset(options={"task": 0})
        pids.append(env._engine.pid)
    assert len(set(pids)) == 2
    assert pids[1] != pids[2] == pids[4]


def test_close_ends_the_engine_and_a_reset_starts_another(env: MazeEnv) -> None:
    pid = env._engine.pid
    env.close()
    env.close()
    assert pid not in children()
    assert not list(process_folder().glob("engine-*/pid"))
    env.reset()
    assert env._engine.pid in children()


def test_an_engine_that_could_not_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    env = MazeEnv([CORRIDOR])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "NEEDED", 10**18)
        with pytest.raises(RuntimeError, match=r"/dev/shm has .* MB left"):
            env.reset()
    with monkeypatch.context() as patch:
        patch.setattr(os, "ST_NOEXEC", -1)
        with pytest.raises(RuntimeError, match=r"Programs may not run from .* TMPDIR"):
            env.reset()
    env.reset()
    env.close()


def test_one_wad_serves_all_engines_of_a_process() -> None:
    mazes = [CORRIDOR]
    assert wad_file(mazes, False) == wad_file(list(mazes), False)
    assert wad_file(mazes, False) != wad_file(mazes, True)
    assert wad_file(mazes, False).parent == process_folder()


USE = """\
import os, signal, sys
from rl2_vizdoom.env import MazeEnv
from rl2_vizdoom.folder import process_folder
from rl2_vizdoom.mazes import split_mazes

env = MazeEnv(split_mazes(3, "train", 2))
env.reset()
env.step(2)
name = next(process_folder().glob("*/id")).read_text().strip()
print(process_folder(), env._engine.pid, name, flush=True)
if "close" in sys.argv:
    env.close()
if "kill" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("end", ["close", "return", "kill"])
def test_nothing_is_left_behind(end: str, tmp_path: Path) -> None:
    """Neither files, here or elsewhere, nor shared memory, nor the engine's process."""
    done = subprocess.run(
        [sys.executable, "-c", USE, end], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == (-signal.SIGKILL if end == "kill" else 0), done.stderr
    folder, pid, name = done.stdout.split()
    limit = time.monotonic() + 10
    while Path(folder).exists() and time.monotonic() < limit:
        time.sleep(0.01)  # the janitor needs a moment
    assert not Path(folder).exists()
    assert not Path(f"/proc/{pid}").exists() or _state(int(pid)) == "Z"
    assert not list(SHARED_MEMORY.glob(f"ViZDoom*{name}"))
    assert not list(tmp_path.iterdir())


def test_ctrl_c_ends_no_engine(env: MazeEnv) -> None:
    """A terminal sends it to the engines too; it is for the program to end them, or to go on."""
    status = Path(f"/proc/{env._engine.pid}/status").read_text()
    ignored = int(status.split("SigIgn:")[1].split()[0], 16)
    assert ignored >> (signal.SIGINT - 1) & 1


def test_engines_start_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that start at once in two threads hang, or crash."""
    alone = []
    monkeypatch.setattr(engine, "check_room", lambda: alone.append(engine._STARTS.locked()))
    env = MazeEnv([CORRIDOR])
    env.reset(options={"task": 0})
    env.close()
    assert alone == [True]
    assert not engine._STARTS.locked()
