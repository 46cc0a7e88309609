"""Files that are written whole or not at all, a cache, and folders that one process may use."""

from __future__ import annotations

import contextlib
import fcntl
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


def replace_whole(path: Path, write: Callable[[BinaryIO], Any], part: str = "part") -> Path:
    """Write a file beside its place and move it there: a kill leaves what was there before.

    :param path: the file; folders above it are made
    :param write: writes the content into an open binary file
    :param part: ending of the file beside it, another in each process that may write the same
    :return: ``path``
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{part}")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()  # a full disk has better uses
        raise
    return path


def replace_text(path: Path, text: str) -> Path:
    """The same with a text, in UTF-8."""
    return replace_whole(path, lambda file: file.write(text.encode()))


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/rl2-sb3``, by default ``~/.cache/rl2-sb3``; it may be deleted."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rl2-sb3"


def kept_array(name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Read an array from the cache, or make it and write it there for the next time."""
    path = cache_folder() / f"{name}.npy"
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, ValueError, EOFError):  # not there, not ours to read, or not whole
        array = make()
    try:
        replace_whole(path, lambda file: np.save(file, array), f"{os.getpid()}.part")
    except OSError as error:
        warnings.warn(f"{path} is not written ({error}): it will be made again.", stacklevel=2)
    return array


@contextmanager
def alone(lock: Path, error: str) -> Iterator[None]:
    """Hold a lock, which the system lets go where this process dies.

    :param lock: a file for nothing else
    :param error: what to say where another process holds it
    :raises ValueError: another does
    """
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(error) from None
        yield
