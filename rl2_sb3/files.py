"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def replace_whole(path: Path, write: Callable[[BinaryIO], Any]) -> Path:
    """Write a file beside its place and move it there: a kill leaves what was there before.

    :param path: the file; folders above it are made
    :param write: writes the content into an open binary file
    :return: ``path``
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path
