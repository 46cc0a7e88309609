"""A PostgreSQL server of the tests' own, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "nobody"
"""Who runs it where the tests are run by root, whom it refuses."""
PASSWORD = "s3cret-word"


def programs() -> Path | None:
    """The folder of initdb and postgres, if it is installed."""
    found = shutil.which("postgres")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in folders if (each / "initdb").exists()), None)


def _as_user(words: list[str]) -> list[str]:
    return ["runuser", "-u", USER, "--", *words] if os.getuid() == 0 else words


@contextmanager
def server() -> Iterator[str]:
    """A server that listens on a socket in a folder of its own, and asks for a password.

    The folder is none of pytest's, which other users may not enter.

    :return: its address, ``postgresql://sweeper:PASSWORD@/postgres?host=FOLDER``
    """
    bin_folder = programs()
    assert bin_folder is not None
    folder = Path(tempfile.mkdtemp(prefix="rl2-postgresql-"))
    data, word = folder / "data", folder / "password"
    word.write_text(PASSWORD)
    if os.getuid() == 0:
        for each in (folder, word):
            shutil.chown(each, USER)
    initdb = [str(bin_folder / "initdb"), "-D", str(data), "-U", "sweeper", "-A", "scram-sha-256"]
    subprocess.run(
        _as_user([*initdb, f"--pwfile={word}", "--no-sync"]), check=True, capture_output=True
    )
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    control = [str(bin_folder / "pg_ctl"), "-D", str(data), "-w"]
    quiet = subprocess.DEVNULL  # the server would keep a pipe open
    log = ["-l", str(folder / "log")]
    subprocess.run(_as_user([*control, *log, "-o", options, "start"]), check=True, stdout=quiet)
    try:
        yield f"postgresql://sweeper:{PASSWORD}@/postgres?host={folder}"
    finally:
        subprocess.run(_as_user([*control, "-m", "immediate", "stop"]), check=True, stdout=quiet)
        shutil.rmtree(folder)
