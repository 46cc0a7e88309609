"""A run's folder: what lies in it, and whose it is."""

from __future__ import annotations

import json
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import Logger, make_output_format

from rl2_sb3.options import flat_defaults
from rl2_sb3.plots.logs import UNSHOWN

CHECKPOINT = "checkpoint.zip"
AGENT = "agent.safetensors"
FILES = (
    *("config.json", f"{CHECKPOINT}*", f"{AGENT}*", "learning_curve.png", "watch.gif"),
    *("progress*.csv", "events.out.tfevents.*", "evaluation.csv", "successes.csv", "adaptation.*"),
)


def check_free(out: Path, resume: bool, overwrite: bool) -> None:
    """See that a folder's run is not lost by mistake.

    :raises ValueError: the folder holds a run that is neither to be resumed nor overwritten
    """
    if (out / "config.json").exists() and not resume and not overwrite:
        raise ValueError(
            f"{out} holds a run. Add --resume to go on with it, --overwrite to begin anew, or "
            "name another folder with --out."
        )


def check_resumed(out: Path, config: dict[str, Any], kind: type[Any]) -> None:
    """See that a folder's run, if there is one, has the settings of the one that goes on with it.

    :param config: as JSON holds it
    :param kind: what configuration it is; an option that the folder's run did not know yet had the
        default's effect
    :raises ValueError: other settings
    """
    path = out / "config.json"
    if not path.exists():
        return
    before = _normal(flat_defaults(kind) | json.loads(path.read_text()))
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
    return plain


def claim(out: Path, config: dict[str, Any], resume: bool) -> None:
    """Write the configuration into a folder; a run there that is not resumed goes, nothing else.

    :param config: as JSON holds it
    """
    path = out / "config.json"
    if path.exists() and not resume:
        for pattern in FILES:
            for file in out.glob(pattern):
                file.unlink()
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=2) + "\n")


def make_logger(out: Path) -> Logger:
    """SB3's logger; a resumed run gets files of its own, since the CSV one would be overwritten."""
    part = len(list(out.glob("progress*.csv"))) + 1
    suffix = "" if part == 1 else f"-{part}"
    formats = [make_output_format(kind, str(out), suffix) for kind in ("csv", "tensorboard")]
    return Logger(str(out), formats)
