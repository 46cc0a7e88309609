"""Offline runs as W&B's own reader, `wandb leet inspect`, tells of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

WANDB = str(Path(sys.executable).with_name("wandb"))


class Tracked(NamedTuple):
    """What a run's file holds."""

    id: str
    config: dict[str, Any]
    summary: dict[str, Any]
    history: dict[int, dict[str, Any]]
    """Rows of the log by their step."""
    artifacts: list[dict[str, Any]]
    folder: Path

    def picture(self, name: str, step: int) -> bytes:
        """The file of a picture in the log."""
        return (self.folder / "files" / str(self.history[step][f"{name}.path"])).read_bytes()

    def table(self, name: str) -> dict[str, Any]:
        """A table that was logged."""
        path = self.folder / "files" / self.summary[name]["path"]
        content: dict[str, Any] = json.loads(path.read_text())
        return content


def tracked(folder: Path = Path("wandb")) -> list[Tracked]:
    """The offline runs in W&B's folder, in the order in which they began."""
    return [_read(run) for run in sorted(folder.glob("offline-run-*"))]


def _read(run: Path) -> Tracked:
    records = [json.loads(line) for line in _inspect(run).splitlines()]
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    artifacts = [record["artifact"] for record in records if record["type"] == "artifact"]
    told = json.loads(_inspect(run, "--summary"))
    history = {row["_step"]: row for row in rows}
    return Tracked(told["run_id"], told["config"], told["summary"], history, artifacts, run)


def _inspect(run: Path, *options: str) -> str:
    command = [WANDB, "leet", "inspect", "--json", *options, str(run)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
