import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from rl2_sb3.runs import provenance


def test_a_version_is_dirty_where_the_code_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        who = "-c", "user.name=a", "-c", "user.email=a@b"
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    package = tmp_path / "rl2_sb3"
    package.mkdir()
    code, readme = package / "provenance.py", tmp_path / "README.md"
    monkeypatch.setattr(provenance, "__file__", str(code))
    for file in (code, readme):
        file.write_text("first\n")
    git("init")
    assert provenance.version() == metadata.version("rl2-sb3")  # in no commit
    git("add", ".")
    git("commit", "-m", "first")
    commit = git("describe", "--always")
    assert provenance.version() == commit
    readme.write_text("second\n")
    assert provenance.version() == commit
    (package / "new.py").touch()
    assert provenance.version() == f"{commit}-dirty"
    (package / "new.py").unlink()
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "env.py").touch()
    assert provenance.version() == f"{commit}-dirty"
    (tmp_path / "plugins" / "env.py").unlink()
    code.write_text("second\n")
    assert provenance.version() == f"{commit}-dirty"
