"""One parser for a command's options and the task's own, and presets that set both."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from rl2_sb3.agent import Agent
from rl2_sb3.agent_file import agent_file
from rl2_sb3.presets import NONE, Command, how_to_get_presets, load, presets
from rl2_sb3.registry import TASKS, did_you_mean, literal
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.trials.make import make_tasks


def preset_settings(command: Command, args: Sequence[str]) -> tuple[dict[str, Any], str | None]:
    """What the preset that the arguments name sets, and the preset that it goes on from.

    It must be known before the options are parsed, since it sets their defaults.
    """
    name = NONE
    for i, arg in enumerate(args):
        if arg == "--preset" or arg.startswith("--preset="):
            name = arg.partition("=")[2] or next(iter(args[i + 1 :]), "")
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
        same.append("--progress" if config.progress else "--no-progress")
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


def task_options(
    command: str,
    base: type[Any],
    args: Sequence[str],
    task: str | None = None,
    options: dict[str, Any] | None = None,
    **preset: Any,
) -> tuple[Any, dict[str, Any]]:
    """Parse a command's options and, in one parser with them, those of the task that it names.

    :param task: where none is named
    :param options: of that task, where they are not given
    :param preset: the command's own, where they are not given
    :return: the configuration, and the task's options
    """
    named = next((arg for arg in args if arg in TASKS or TASKS.in_checkout(arg)), task)
    options = options if named == task else None
    default: dict[str, Any] = {"task": task or tyro.MISSING, **preset}
    if named is not None:
        default["options"] = TASKS.load(named)(**options) if options else tyro.MISSING_NONPROP
    kind = base if named is None else _with_options(base, named)
    known = [field.name for field in dataclasses.fields(kind)]
    for name in default:
        if name not in known:
            raise ValueError(
                f"Preset {default['preset']!r} sets {name!r}, which `rl2 {command}` has not."
                f"{did_you_mean(name, known)}"
            )
    config = tyro.cli(
        kind,
        args=list(args),
        prog=f"rl2 {command}",
        description=inspect.getdoc(base),
        default=kind(**default),
    )
    if task is not None and config.task != task:
        raise ValueError(f"The preset {config.preset} is of {task}, not of {config.task}.")
    given = getattr(config, "options", None)
    return config, {} if given is None else _arguments(given)


def _with_options(base: type[Any], task: str) -> type[Any]:
    """A command's options with those of the task distribution.

    :raises ValueError: an option of the task has the name of one of the command's
    """
    tasks = TASKS.load(task)
    common = {field.name for field in dataclasses.fields(base)}
    taken = sorted(common & set(inspect.signature(tasks).parameters))
    if taken:
        raise ValueError(
            f"{task} has options with names that the command line takes itself: "
            f"{', '.join(taken)}. Rename them in the plugin, or train it from Python."
        )
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


def trained_on(agent: Agent, name: str) -> dict[str, Any]:
    """What an agent's file says of its training: task, options and episodes among it.

    :param name: of the agent, for the message
    :raises ValueError: it does not say these
    """
    info = {"task": None, "options": {}, "episodes": None, **agent.info}
    if info["task"] is None or info["episodes"] is None:
        raise ValueError(
            f"{name} does not say what it was trained on: save it with "
            'model.save_agent(path, task="bandit", options={"arms": 5}).'
        )
    return info


def played_folder(agent: str) -> Path:
    """Where to write what an agent does: its run's folder; for an installed one, not beside it.

    Nor where a run of the same name trains.
    """
    there = Path(agent).exists()
    return agent_file(agent).parent if there else Path("runs", "checkpoints", agent)


def evaluation_tasks(info: dict[str, Any], changed: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """What a trained agent is evaluated on.

    :param info: from :func:`trained_on`
    :param changed: options of the task, such as "size=large", in place of those of training and of
        what the distribution holds out for evaluation
    :return: the tasks, and their options
    :raises ValueError: an unknown, malformed or wrong option
    """
    options = dict(info["options"])
    tasks = make_tasks(info["task"], **options)
    if isinstance(tasks, (BatchedTasks, GymTasks)):
        tasks = tasks.held_out()
        options = {key: getattr(tasks, key, value) for key, value in options.items()}
    if not changed:
        return tasks, options
    for pair in changed:
        key, sign, text = pair.partition("=")
        if not sign:
            raise ValueError(f"--options {pair}: write name=value, such as split=train.")
        options[key] = literal(text)
    try:
        return make_tasks(info["task"], **options), options
    except TypeError as error:
        raise ValueError(f"--options {' '.join(changed)}: {error}") from error
