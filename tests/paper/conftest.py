from pathlib import Path

import pytest
from rl2_paper import options


@pytest.fixture(autouse=True)
def not_editable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and pages are in the current folder by default, not in this repository."""
    monkeypatch.setattr(options, "__file__", str(tmp_path / "site-packages/rl2_paper/options.py"))
