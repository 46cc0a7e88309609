from pathlib import Path

import pytest

from rl2_sb3.cli import main
from rl2_sb3.sweeps.storage import Storage
from tests.sweeps.files import sweep_file


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mysql://me:hush@host/x", r"No storage mysql://me:\*\*\*@host/x: write postgresql://"),
        ("sqlite://", "No storage sqlite://: write postgresql://"),
        ("me:hush@host", "The storage is no address of a database: write postgresql://"),
        (
            "postgresql://me:hush@127.0.0.1:1/x",
            r"me:\*\*\*@127.0.0.1:1/x cannot be used: .*refused",
        ),
    ],
)
def test_what_cannot_be_reached_is_told_without_its_password(
    address: str, message: str, tmp_path: Path
) -> None:
    words = ["sweep", str(sweep_file(tmp_path)), "--out", str(tmp_path / "out"), "--workers", "1"]
    with pytest.raises(SystemExit, match=message) as raised:
        main([*words, "--storage", address])
    assert "hush" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("no database " * 100)
    with pytest.raises(RuntimeError, match=r"s\.db cannot be used: file is not a database"):
        Storage(f"sqlite:///{tmp_path}/s.db")


def test_without_its_driver_postgresql_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'rl2-sb3\[postgresql\]'"):
        Storage("postgresql://host/x")
