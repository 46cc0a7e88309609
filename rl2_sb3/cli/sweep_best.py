"""Configurations of a sweep as the command line reads them: checked, and the best as YAML."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rl2_sb3.cli.imitate import Imitate
from rl2_sb3.cli.options import Parsed, parse
from rl2_sb3.cli.train import Train
from rl2_sb3.files import replace_text
from rl2_sb3.options import as_kind, flat, flat_defaults
from rl2_sb3.sweeps import Best, Claims, Sweep
from rl2_sb3.sweeps.options import CONFIGS, is_of_task
from rl2_sb3.trials.make import make_tasks

KINDS: dict[str, type[Any]] = {"train": Train, "imitate": Imitate}


def _parsed(plan: Sweep, point: dict[str, Any]) -> Parsed:
    """What the command line makes of a configuration.

    :raises ValueError: it refuses the command
    """
    command, said = plan.command, io.StringIO()
    words = command.for_point(point)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            kind: Any = command.kind
            return parse(kind, KINDS[kind], words)
    except SystemExit as error:
        lines = [line.strip(" │╰╯─╭╮") for line in said.getvalue().splitlines()]
        why = next((line for line in lines[1:] if line), f"status {error.code}")
        raise ValueError(
            f"the command line refuses `rl2 {command.kind} {' '.join(words)}`: {why}"
        ) from None


def check_words(plan: Sweep, file: Path) -> None:
    """See that the command line takes a sweep's first configuration, and that there is its task.

    :raises ValueError: it does not
    """
    first = {name: parameter.examples()[0] for name, parameter in plan.varied.items()}
    try:
        parsed = _parsed(plan, {**plan.fixed, **first})
        make_tasks(parsed.config.task, **parsed.options)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def write_best(study: Claims, best: Sequence[Best], out: Path) -> list[Path]:
    """Write the best configuration of each setting, for ``rl2 train --config``.

    :return: ``NAME-best.yaml``; where settings vary, a file for each, which names its setting
    """
    plan, paths = study.sweep, []
    for each in best:
        told = [f"{n}={each.point[n]}" for n in plan.varied if is_of_task(plan.command, n)]
        name = "-".join([plan.name, *told, "best"])
        over = f", mean over {each.seeds} seeds" if each.seeds > 1 else ""
        about = f"# {plan.metric} {each.value:.6g}{over}: the best of {plan.name}"
        use = f"#   rl2 {plan.command.kind} --config {out / name}.yaml --out runs/{plan.name}"
        options = yaml.safe_dump(_options(plan, each.point), sort_keys=False)
        paths.append(replace_text(out / f"{name}.yaml", f"{about}\n{use}\n{options}"))
    return paths


def _options(plan: Sweep, point: dict[str, Any]) -> dict[str, Any]:
    """The options of a configuration that are not the defaults."""
    parsed, kind = _parsed(plan, point), CONFIGS[plan.command.kind]
    usual = flat_defaults(kind)
    told = flat(as_kind(kind, parsed.config))
    options = {name: value for name, value in told.items() if value != _plain(usual[name])}
    if parsed.options:
        options["options"] = parsed.options
    return options


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
