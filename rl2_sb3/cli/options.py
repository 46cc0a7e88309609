"""One parser for a command's options and the task's own; presets and files that set both."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

import tyro
import yaml

from rl2_sb3.cli.words import check_other_names, plain_words
from rl2_sb3.config import FolderConfig
from rl2_sb3.options import flat_defaults, from_flat, nested
from rl2_sb3.presets import NONE, Command, how_to_get_presets, load, presets
from rl2_sb3.ranges import check_config
from rl2_sb3.registry import TASKS, did_you_mean
from rl2_sb3.tracking.asked import sweep_folder


@dataclasses.dataclass(kw_only=True)
class RunOptions:
    """Options of the commands that make runs, beside the run's own."""

    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = NONE
    """Preset to start from: a name that `--preset list` shows, or a YAML file."""
    config: Path | None = None
    """YAML file of options by the names of their flags, or a run's config.json; flags on the
    command line take precedence."""
    folder: tyro.conf.OmitArgPrefixes[FolderConfig] = dataclasses.field(
        default_factory=FolderConfig
    )


class Parsed(NamedTuple):
    """What the words of a command line say."""

    config: Any
    """Of the command."""
    options: dict[str, Any]
    """Of the task."""
    after: str | None
    """The preset whose agent this one goes on from."""


def parse(
    command: Command, kind: type[Any], args: Sequence[str], out: Path = Path("runs/latest")
) -> Parsed:
    """Parse a command's options and, in one parser with them, those of the task that it names.

    A first pass finds the task and what else sets options; it leaves over what it does not know.
    Options that are given win over those of ``--config``, and these over those of ``--preset``.

    :param kind: of the command: a dataclass with a positional ``task``, ``preset`` and ``config``
    :param out: the run's folder, unless something sets it
    :raises ValueError: a preset or a file that is none, or of another task
    """
    groups = [*nested(kind), "options"]
    args = switched(kind, plain_words(args, groups, _switches(kind)))
    first, unknown = _first_pass(command, kind, args)
    file = {} if first.config is None else read_config(first.config, kind)
    settings, after = preset_settings(command, file.pop("preset", first.preset))
    task, options = settings.pop("task", None), settings.pop("options", {})
    if (folder := sweep_folder()) is not None:
        settings["out"] = folder
    named = next(iter(first.task), None) or file.get("task") or task
    if named is None and unknown and not {"-h", "--help"} & set(unknown):
        raise ValueError(
            f"{' '.join(unknown)}: name the task before options of its own, as in "
            f"`rl2 {command} bandit --arms 3`."
        )
    if task not in (None, named):
        raise ValueError(f"The preset {settings['preset']} is of {task}, not of {named}.")
    own = file.pop("options", {})
    if file.pop("task", named) == named:
        file |= own
    try:
        default = from_flat(kind, {"task": named or tyro.MISSING, "out": out, **settings})
    except ValueError as error:
        raise ValueError(f"Preset {settings['preset']!r} of `rl2 {command}`: {error}") from error
    of_task: Collection[str] = ()
    if named is not None and (named in TASKS or TASKS.in_checkout(named)):
        if not callable(TASKS.load(named)):
            raise ValueError(
                f"{named} of {TASKS.distribution(named)} is no task distribution: its entry point "
                "must name a subclass of BatchedTasks or GymTasks, or a function that gives one."
            )
        kind = _with_options(kind, named)
        tasks = TASKS.load(named)(**options) if options else tyro.MISSING_NONPROP
        default = kind(**vars(default), options=tasks)
        of_task = inspect.signature(TASKS.load(named)).parameters
    check_other_names(unknown, flat_defaults(kind), of_task)
    config = tyro.cli(
        kind,
        args=[*switched(kind, _flags(file)), f"--config={first.config}", *args],
        prog=f"rl2 {command}",
        description=inspect.getdoc(kind.__bases__[0] if "options" in vars(default) else kind),
        default=default,
    )
    check_config(config)
    given = getattr(config, "options", None)
    return Parsed(config, {} if given is None else _arguments(given), after)


def switched(kind: type[Any], args: Sequence[str]) -> list[str]:
    """Words of the command line, with the switches that may also be left to the task spelled out.

    ``--switch`` and ``--no-switch`` become ``--switch=True`` and ``--switch=False``.

    :param kind: of the command: its fields that are ``bool | None`` are such switches
    """
    words, following = [], [*args[1:], ""][: len(args)]
    names = ["--" + name.replace("_", "-") for name in _switches(kind)]
    for word, after in zip(args, following, strict=True):
        flag = word.replace("_", "-")
        if flag in names and after not in ("True", "False", "None"):
            word = f"{flag}=True"
        elif flag.replace("--no-", "--", 1) in names and flag.startswith("--no-"):
            word = f"{flag.replace('--no-', '--', 1)}=False"
        words.append(word)
    return words


def _switches(kind: type[Any]) -> list[str]:
    inner = nested(kind)
    own = [name for name, hint in get_type_hints(kind).items() if hint == bool | None]
    return own + [name for part in inner.values() for name in _switches(part)]


def _first_pass(command: Command, kind: type[Any], args: Sequence[str]) -> tuple[Any, list[str]]:
    """What is known before the task is, whose ``task`` has the positional words; and the rest."""
    task: Any = tyro.conf.Positional[tuple[str, ...]]
    optional: Any = dataclasses.make_dataclass(
        kind.__name__, [("task", task, ())], bases=(kind,), kw_only=True
    )
    first, unknown = tyro.cli(
        optional,
        args=list(args),
        prog=f"rl2 {command}",
        return_unknown_args=True,
        add_help=False,
    )
    return first, unknown


def read_config(path: Path, kind: type[Any]) -> dict[str, Any]:
    """Options from a YAML file, such as a run's ``config.json``.

    :param kind: whose they are; beside them, ``options`` are those of the task
    :raises ValueError: no such file, or an option that there is not
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--config {path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"--config {path}: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("options", {}), dict):
        raise ValueError(f"--config {path}: write name: value, a line for each option.")
    known = [*flat_defaults(kind).keys() - {"config"}, "options"]
    for name in content:
        if name not in known:
            raise ValueError(
                f"--config {path}: no option {name!r}.{did_you_mean(str(name), known)}"
            )
    return content


def _flags(options: Mapping[str, Any]) -> list[str]:
    """Options as the command line has them."""
    flags = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, dict):
            flags += [f"--{flag}", *(f"{key}={each!r}" for key, each in value.items())]
        elif isinstance(value, list):
            flags += [f"--{flag}", *map(str, value)]
        else:
            flags.append(f"--{flag}={value}")
    return flags


def preset_settings(command: Command, name: str) -> tuple[dict[str, Any], str | None]:
    """What a preset sets, its name among it, and the preset that it goes on from."""
    if name == "list":
        print(_listed(command))
        sys.exit()
    preset = load(name)
    if preset.command not in (None, command):
        raise ValueError(
            f"{name!r} is a preset of another command: `rl2 {preset.command} --preset {name}`."
        )
    settings = {"preset": name, **preset.settings}
    if preset.task is not None:
        settings |= {"task": preset.task, "out": preset.run}
    if preset.options:
        settings["options"] = preset.options
    return settings, preset.after


def beginning(
    preset: str, config: Any, commands: Mapping[str, Callable[[Sequence[str]], None]]
) -> Path:
    """The folder of the run that another goes on from, which is made now unless it is there.

    :param preset: its preset
    :param config: of the run that goes on
    :param commands: by name, those that may make it
    """
    first = load(preset)
    folder = first.run
    if not (folder / "agent.safetensors").exists():
        print(f"First its beginning, the preset {preset}, in {folder}:")
        same = [f"--{name}={getattr(config, name)}" for name in ("device", "threads")]
        if config.seed != load(config.preset).settings.get("seed", 0):
            same.append(f"--seed={config.seed}")  # asked for; else each preset has its own
        same.append("--progress" if config.folder.progress else "--no-progress")
        assert first.command is not None
        commands[first.command](["--preset", preset, "--resume", *same])
    return folder


def _listed(command: Command) -> str:
    """A line for each preset: its name, and what it sets of the most interest."""
    lines = [("preset", "task", "episodes", "length", "from")]
    for preset in [load(NONE), *presets(command)]:
        options = [f"{key}={value}" for key, value in preset.options.items()]
        task, settings = " ".join([preset.task or "any", *options]), preset.settings
        length = f"{settings['steps'] / 1e6:g}M steps" if "steps" in settings else ""
        if "batches" in settings:
            length = f"{settings['batches']:,} batches"
        origin = preset.after or settings.get("teacher") or ""
        lines.append((preset.name, task, str(settings.get("episodes", "")), length, origin))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    ]
    table = "\n".join("  ".join(line).rstrip() for line in padded)
    return f"{table}\n{how_to_get_presets()}".rstrip()


def check_names(base: type[Any], task: str) -> None:
    """See that a command's options and those of a task distribution have different names.

    :param base: the command's
    :raises ValueError: they have not
    """
    common = set(flat_defaults(base))
    taken = sorted(common & set(inspect.signature(TASKS.load(task)).parameters))
    if taken:
        raise ValueError(
            f"{task} has options with names that the command line takes itself: "
            f"{', '.join(taken)}. Rename them in the plugin, or train it from Python."
        )


def _with_options(base: type[Any], task: str) -> type[Any]:
    """A command's options with those of the task distribution.

    :raises ValueError: an option of the task has the name of one of the command's
    """
    check_names(base, task)
    tasks = TASKS.load(task)
    return dataclasses.make_dataclass(
        base.__name__,
        [("options", Annotated[tasks, tyro.conf.arg(name="")])],
        bases=(base,),
        kw_only=True,
    )


def _arguments(tasks: Any) -> dict[str, Any]:
    """The options that a task distribution was made with.

    :raises ValueError: it does not keep them
    """
    names = inspect.signature(type(tasks)).parameters
    for name in names:
        if name not in vars(tasks):
            raise ValueError(
                f"{type(tasks).__name__} does not keep its option {name!r} as an attribute: make "
                "it a dataclass."
            )
    return {name: getattr(tasks, name) for name in names}
