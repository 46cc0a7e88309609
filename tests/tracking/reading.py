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
    """By names with dots, where a value has parts."""
    history: dict[int, dict[str, Any]]
    """Rows of the log by their step."""
    artifacts: list[dict[str, Any]]
    folder: Path

    def picture(self, name: str, step: int) -> bytes:
        """The file of a picture in the log."""
        return (self.folder / "files" / str(self.history[step][f"{name}.path"])).read_bytes()

    def table(self, name: str) -> dict[str, Any]:
        """A table that was logged."""
        path = self.folder / "files" / self.summary[f"{name}.path"]
        content: dict[str, Any] = json.loads(path.read_text())
        return content


def tracked(folder: Path = Path("wandb")) -> list[Tracked]:
    """The offline runs in W&B's folder, in the order in which they began."""
    return [_read(run) for run in sorted(folder.glob("offline-run-*"))]


def _read(run: Path) -> Tracked:
    command = [WANDB, "leet", "inspect", "--json", str(run)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    records: dict[str, list[dict[str, Any]]] = {}
    for record in map(json.loads, told.splitlines()):
        records.setdefault(record["type"], []).append(record[record["type"]])
    begun = records["run"][0]
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    for part in (begun["config"], *records.get("config", [])):
        config |= part["update"]
    for part in records["summary"]:
        summary |= part["update"]
    history = {row["item"]["_step"]: row["item"] for row in records.get("history", [])}
    return Tracked(begun["run_id"], config, summary, history, records.get("artifact", []), run)
