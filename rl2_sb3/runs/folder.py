"""A run's folder: what lies in it, and whose it is."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from rl2_sb3.files import alone, replace_text
from rl2_sb3.options import flat_defaults
from rl2_sb3.plots.logs import UNSHOWN
from rl2_sb3.tracking.tracker import KEPT

CONFIG = "config.json"
CHECKPOINT = "checkpoint.zip"
AGENT = "agent.safetensors"
LOCK = ".lock"
FILES = (
    *(f"{CHECKPOINT}*", f"{AGENT}*", "learning_curve.png*", "watch.gif", "progress*.csv*"),
    *("events.out.tfevents.*", "evaluation.csv", "successes.csv", "adaptation.*", f"{KEPT}*"),
    f"{CONFIG}*",
)
"""Of a run. The configuration goes last: no checkpoint is left without it."""


def holds_run(out: Path) -> bool:
    """Whether a folder holds something of a run: a checkpoint, an agent, or a log with a row."""
    kept = any((out / name).exists() for name in (CHECKPOINT, AGENT))
    return kept or any(log.read_bytes().strip() for log in out.glob("progress*.csv"))


def check_free(out: Path, resume: bool, overwrite: bool) -> None:
    """See that a folder's run is not lost by mistake.

    :raises ValueError: the folder holds a run that is neither to be resumed nor overwritten, or is
        none; or both are asked for
    """
    if resume and overwrite:
        raise ValueError(
            "--resume goes on with the folder's run, --overwrite begins anew: give one of them."
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: name a folder with --out.")
    if holds_run(out) and not resume and not overwrite:
        raise ValueError(
            f"{out} holds a run. Add --resume to go on with it, --overwrite to begin anew, or "
            "name another folder with --out."
        )


def own(out: Path, make: bool = False) -> AbstractContextManager[None]:
    """Keep other processes off a folder, if there is one.

    :param make: make the folder
    :raises ValueError: another process is at work in it
    """
    if make:
        out.mkdir(parents=True, exist_ok=True)
    elif not out.exists():
        return nullcontext()
    return alone(
        out / LOCK,
        f"Another process is at work in {out}: wait for it, end it, or name another folder with "
        "--out.",
    )


def settings_before(out: Path) -> dict[str, Any] | None:
    """The configuration of the run that a folder holds, or none where it holds none.

    :raises ValueError: it is missing beside a checkpoint, or damaged
    """
    path = out / CONFIG
    if not holds_run(out):
        return None
    if not path.exists():
        if (out / CHECKPOINT).exists():
            raise ValueError(
                f"{out} holds a {CHECKPOINT}, but no {CONFIG} that tells what run it is of: put "
                "that back, or begin anew with --overwrite."
            )
        return None
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        settings = error
    if not isinstance(settings, dict):
        raise ValueError(
            f"{path} is damaged ({settings!r}): put a whole one back, or begin anew with "
            "--overwrite."
        )
    return settings


def check_resumed(out: Path, config: dict[str, Any], kind: type[Any]) -> None:
    """See that a folder's run, if there is one, has the settings of the one that goes on with it.

    :param config: as JSON holds it
    :param kind: what configuration it is; an option that the folder's run did not know yet had the
        default's effect
    :raises ValueError: other settings, or settings that cannot be read
    """
    settings = settings_before(out)
    if settings is None:
        return
    before = _normal({"options": {}, **flat_defaults(kind), **settings})
    now = _normal(config)
    differing = [
        f"{key}: {before[key]} then, {value} now"
        for key, value in now.items()
        if key not in UNSHOWN and before.get(key, MISSING) not in (MISSING, value)
    ]
    if differing:
        raise ValueError(
            f"{out} holds a run with other settings ({'; '.join(differing)}). Give the same "
            "options again, or name another folder with --out."
        )


def _normal(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration as JSON holds it, where two ways to say the same are one."""
    plain: dict[str, Any] = json.loads(json.dumps(config, default=str))
    if plain["value_network"] == plain["memory"]:
        plain["value_network"] = None  # which is the policy's
    if "decay_steps" in plain:
        plain["decay_steps"] = plain["decay_steps"] or plain["steps"]
    return plain


def claim(out: Path, config: dict[str, Any], resume: bool, done: bool = False) -> None:
    """Write the configuration into a folder; a run there that is not resumed goes, nothing else.

    :param config: as JSON holds it
    :param done: the run there has all these steps already, and keeps the number it was made with
    """
    before = settings_before(out) if done else None
    if before is not None and "steps" in config:
        config = {**config, "steps": before.get("steps", config["steps"])}
    if not resume:
        for pattern in FILES:
            for file in out.glob(pattern):
                file.unlink()
    replace_text(out / CONFIG, json.dumps(config, indent=2) + "\n")
