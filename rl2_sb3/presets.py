"""Presets: YAML files of options that plugins bring, or that a path names.

A preset has the options of its command by their names on the command line, in snake_case, and

- ``command``: train (the default) or imitate;
- ``task`` and ``options``: the task distribution, and the options of its own;
- ``extends``: the preset whose settings it changes; ``options`` are replaced as a whole;
- ``after``: the preset whose agent it goes on from.

A file whose name begins with an underscore is there to be extended; it has no place in the list.
Plugins name a package under ``rl2_sb3.presets``, in whose folder ``presets`` the files lie. Where a
preset names another by a path, this is relative to its own file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import yaml

from rl2_sb3.registry import PRESETS, did_you_mean, installing, literal

Command = Literal["train", "imitate"]
NONE = "default"
"""The name of no preset at all: a command's own defaults."""
SUFFIXES = (".yaml", ".yml")


class Preset(NamedTuple):
    """What a preset sets."""

    name: str
    """Also of the run's folder; of a file, its name without the ending."""
    command: Command | None
    """Which command it is of; None: of any."""
    task: str | None
    options: dict[str, Any]
    """Of the task."""
    after: str | None
    """Name or path of the preset whose agent it goes on from."""
    settings: dict[str, Any]
    """All other options of the command, by name."""

    @property
    def run(self) -> Path:
        """The folder of its run, unless ``--out`` says otherwise."""
        return Path("runs") / self.name


class _Installed(NamedTuple):
    """The presets' files that plugins bring."""

    files: Mapping[str, list[Path]]
    """By name, numbers in names sorted as numbers."""
    broken: list[RuntimeError]
    """Of plugins that cannot be loaded; they hinder no others."""

    def names(self) -> list[str]:
        """Of those that are more than there to be extended."""
        return [name for name in self.files if not name.startswith("_")]

    def find(self, name: str) -> Path:
        """The file of a name, or of a path."""
        if name.endswith(SUFFIXES):
            return Path(name)
        if name not in self.files:
            if self.broken:
                raise self.broken[0]
            hint = did_you_mean(name, self.names()) or how_to_get_presets()
            raise ValueError(f"No preset {name!r}.{hint} `--preset list` lists what there is.")
        if len(self.files[name]) > 1:
            folders = ", ".join(str(path.parent) for path in self.files[name])
            raise RuntimeError(f"Preset {name!r} is in several plugins: {folders}.")
        return self.files[name][0]


def presets(command: Command | None = None) -> list[Preset]:
    """All presets that plugins bring, of one command or of both."""
    installed = _installed()
    found = [_read(name, installed) for name in installed.names()]
    return [preset for preset in found if command in (None, preset.command)]


def names(command: Command | None = None) -> list[str]:
    """Their names."""
    return [preset.name for preset in presets(command)]


def load(name: str) -> Preset:
    """The preset of a name, or of a path to a YAML file.

    :raises ValueError: no such preset, or a file that is none
    :raises RuntimeError: several plugins have it, or one that might have it is broken
    """
    if name == NONE:
        return Preset(name, None, None, {}, None, {})
    return _read(name, _installed())


def _read(name: str, installed: _Installed) -> Preset:
    path = installed.find(name)
    content = _content(path, installed, [])
    command, after = content.pop("command", "train"), content.pop("after", None)
    task, options = content.pop("task", None), content.pop("options", None) or {}
    if command not in get_args(Command):
        raise ValueError(f"{path}: command={command!r}: write {' or '.join(get_args(Command))}.")
    if not isinstance(options, dict):
        raise ValueError(f"{path}: options={options!r}: write name: value, for each of the task's.")
    settings = {key: _value(value) for key, value in content.items()}
    options = {key: _value(value) for key, value in options.items()}
    return Preset(path.stem, command, task, options, after and _beside(path, after), settings)


def _content(path: Path, installed: _Installed, extending: list[Path]) -> dict[str, Any]:
    """What a file says, over what it extends."""
    if path in extending:
        raise ValueError(f"{path} extends itself, by way of {extending[-1]}.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} is no preset: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is no preset: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(f"{path} is no preset: write name: value, a line for each option.")
    base = content.pop("extends", None)
    if base is None:
        return content
    extended = installed.find(_beside(path, str(base)))
    return _content(extended, installed, [*extending, path]) | content


def _value(value: Any) -> Any:
    """As options have it: tuples for lists, and numbers such as 1e-3, which YAML takes for text."""
    if isinstance(value, list):
        return tuple(map(_value, value))
    return literal(value) if isinstance(value, str) else value


def _beside(path: Path, name: str) -> str:
    """A name as it is; a path as seen from a file."""
    return str(path.parent / name) if name.endswith(SUFFIXES) else name


def how_to_get_presets() -> str:
    """What to append where presets are missed; nothing if some are installed, or none are known."""
    folders = [] if PRESETS.names() else PRESETS.all_in_checkout()
    return f" `{installing(' -e '.join(folders))}` adds some." if folders else ""


def _installed() -> _Installed:
    found: dict[str, list[Path]] = {}
    broken = []
    for plugin in PRESETS.names():
        try:
            folder = Path(str(resources.files(PRESETS.load(plugin)))) / "presets"
        except RuntimeError as error:
            broken.append(error)
            continue
        for path in folder.glob("*.yaml"):
            found.setdefault(path.stem, []).append(path)
    return _Installed({name: found[name] for name in sorted(found, key=_in_order)}, broken)


def _in_order(name: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
