"""Files that are written whole or not at all; folders that belong to one process."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO


def replace_whole(path: Path, write: Callable[[BinaryIO], Any]) -> Path:
    """Write a file beside its place and move it there: a kill leaves what was there before.

    :param path: the file; folders above it are made
    :param write: writes the content into an open binary file
    :return: ``path``
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()  # a full disk has better uses
        raise
    return path


def replace_text(path: Path, text: str) -> Path:
    """The same with a text, in UTF-8."""
    return replace_whole(path, lambda file: file.write(text.encode()))


@contextmanager
def whole_table(path: Path) -> Iterator[TextIO]:
    """A text file for csv's writers, which comes to its place at the end of the block.

    :param path: the file; folders above it are made
    """
    text = io.StringIO(newline="")
    yield text
    replace_text(path, text.getvalue())


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
