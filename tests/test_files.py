from pathlib import Path
from typing import BinaryIO

import pytest

from rl2_sb3.files import replace_whole


def test_a_file_is_replaced_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.zip"
    assert replace_whole(path, lambda file: file.write(b"first")) == path

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_whole(path, fail)
    assert path.read_bytes() == b"first"
    replace_whole(path, lambda file: file.write(b"second"))
    assert path.read_bytes() == b"second"
