from pathlib import Path

import pytest

from tests.memories.compilers import next_process


@pytest.fixture
def new_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a process finds at its start: an empty cache, whose folder this is, and no choice."""
    for name in ("CXX", "RL2_NATIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    next_process(monkeypatch)
    return tmp_path / "cache" / "rl2-sb3" / "native"
