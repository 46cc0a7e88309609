"""``rl2 info``: the machine and what is installed, for a bug report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch as th
import tyro

from rl2_sb3.agent_file import describe_agent
from rl2_sb3.algorithms.threads import threads_for
from rl2_sb3.memories import native
from rl2_sb3.provenance import cuda_devices, processor_features, processor_name, versions
from rl2_sb3.registry import AGENTS, BASELINES, COMMANDS, PRESETS, TASKS, Registry
from rl2_sb3.trials.threads import processors

UNITS = 64, 256


@dataclass(kw_only=True)
class Info:
    """Print what a bug report needs: versions, processor, CUDA, threads and plugins.

    Every plugin is imported; a broken one is listed with its error.
    """

    json: bool = False
    """Print JSON."""


def info(args: Sequence[str]) -> None:
    """Parse the options and print."""
    config = tyro.cli(Info, args=list(args), prog="rl2 info")
    facts = information()
    print(json.dumps(facts, indent=2) if config.json else "\n".join(_lines(facts)))


def information() -> dict[str, Any]:
    """What ``rl2 info`` prints, as JSON has it."""
    plugins, broken = installed_plugins()
    return {
        "versions": versions(),
        "processor": {
            "name": processor_name(),
            "cores": processors(),
            "capability": th.backends.cpu.get_cpu_capability(),
            "features": processor_features(),
        },
        "CUDA": cuda_devices(),
        "threads": {
            "torch": th.get_num_threads(),
            **{f"{units} units": max(threads_for(units, 128)) for units in UNITS},
        },
        "plugins": plugins,
        "broken plugins": broken,
        "native recurrence": native.status(),
    }


def installed_plugins() -> tuple[dict[str, dict[str, list[str]]], dict[str, str]]:
    """All plugins that are installed, each of them loaded.

    :return: those that work, by distribution and version, then by kind; and the errors of the
        others, by kind and name
    """
    kinds: tuple[tuple[Registry, Callable[[str], Any]], ...] = (
        (TASKS, TASKS.load),
        (BASELINES, BASELINES.load),
        (AGENTS, lambda name: describe_agent(AGENTS.load(name))),
        (COMMANDS, COMMANDS.load),
        (PRESETS, PRESETS.load),
    )
    plugins: dict[str, dict[str, list[str]]] = {}
    broken: dict[str, str] = {}
    for registry, load in kinds:
        for name in registry.names():
            try:
                load(name)
                distribution = registry.distribution(name)
            except Exception as error:  # a plugin may raise anything
                broken[f"{registry.noun} {name}"] = f"{type(error).__name__}: {error}"
                continue
            plugins.setdefault(distribution, {}).setdefault(f"{registry.noun}s", []).append(name)
    return plugins, broken


def _lines(facts: dict[str, Any]) -> list[str]:
    processor, threads = facts["processor"], dict(facts["threads"])
    torch = threads.pop("torch")
    chosen = ", ".join(f"{number} for {units}" for units, number in threads.items())
    features = ", ".join(processor["features"]) or "none"
    plugins = [
        f"plugins of {distribution}: "
        + "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds.items())
        for distribution, kinds in facts["plugins"].items()
    ]
    return [
        *(f"{name}: {version}" for name, version in facts["versions"].items()),
        f"processor: {processor['name']}, {processor['cores']} cores usable",
        f"processor features: {features}; torch uses {processor['capability']}",
        f"CUDA: {', '.join(facts['CUDA']) or 'none'}",
        f"threads: torch {torch}; learning takes {chosen}",
        *plugins,
        *(f"broken {plugin}: {error}" for plugin, error in facts["broken plugins"].items()),
        f"native recurrence: {facts['native recurrence']}",
    ]
