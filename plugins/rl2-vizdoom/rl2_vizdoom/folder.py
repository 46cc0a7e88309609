"""The one folder that a process writes to, and a janitor that outlives the process to remove it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock

from rl2_vizdoom.mazes import Maze
from rl2_vizdoom.wad import write_wad

# An engine does not notice that its controller is gone: whether the process returns, is terminated
# or is killed, its end of this pipe closes, and what it has left behind is cleaned up. An engine's
# working directory tells it from a process that was given its number since.
JANITOR = """\
cat > /dev/null
for pid in "$0"/*/pid; do
  [ -e "$pid" ] || continue
  engine=$(cat "$pid") id=$(cat "${pid%pid}id")
  [ "$(readlink "/proc/$engine/cwd")" = "${pid%/pid}" ] && kill -9 "$engine"
  [ -n "$id" ] && rm -f /dev/shm/ViZDoom*"$id"
done
rm -rf "$0"
"""


LOCK = Lock()  # environments may run in threads


def process_folder() -> Path:
    """A temporary folder for as long as this process lives, the same at each call."""
    with LOCK:
        return _folder(os.getpid())[0]


def wad_file(mazes: Sequence[Maze], exact: bool) -> Path:
    """The WAD of these mazes, written once in a process."""
    folder = process_folder()
    with LOCK:
        return _wad(folder, tuple(mazes), exact)


@lru_cache
def _folder(pid: int) -> tuple[Path, subprocess.Popen[bytes]]:
    """By process id, since a fork takes the cache along; with the janitor, to keep its pipe."""
    folder = Path(tempfile.mkdtemp(prefix="rl2-vizdoom-"))
    janitor = subprocess.Popen(
        ["sh", "-c", JANITOR, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is not for it
    )
    return folder, janitor


@cache
def _wad(folder: Path, mazes: tuple[Maze, ...], exact: bool) -> Path:
    handle, path = tempfile.mkstemp(suffix=".wad", dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(write_wad(mazes, exact))
    return Path(path)
