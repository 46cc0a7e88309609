from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B without account or network, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    wandb.teardown()  # W&B reads its environment once
    yield
    wandb.teardown()
