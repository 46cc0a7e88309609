"""Plugins by entry point: listed without importing them, loaded by name."""

import ast
import re
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[1]
"""Where the plugins of this repository lie below ``plugins/``, if it is a checkout."""


class Registry:
    """The plugins that installed distributions register in one group of entry points.

    Nothing is cached: a distribution installed in a running session is found. A script or a
    notebook adds its own by :meth:`register`.

    :param group: name of the group in a distribution's ``[project.entry-points]``
    :param noun: what one plugin is, in the singular, for messages
    :param earlier: the group's earlier names, which are read as well
    """

    def __init__(self, group: str, noun: str, *earlier: str) -> None:
        self.group, self.noun = group, noun
        self._groups = group, *earlier
        self._registered: dict[str, Any] = {}

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def names(self) -> list[str]:
        """Names of all plugins, sorted; imports none of them."""
        installed = {entry_point.name for entry_point in self._entry_points()}
        return sorted(installed | self._registered.keys())

    def register(self, name: str, plugin: Any) -> None:
        """Add a plugin while this process runs; the last of one name counts.

        :raises ValueError: an installed distribution has this name
        """
        if self._entry_points(name=name):
            raise ValueError(f"An installed {self.noun} is called {name!r} already.")
        self._registered[name] = plugin

    def distribution(self, name: str) -> str:
        """Name and version of the distribution that registers ``name``: "rl2-sb3 0.2.0".

        :raises ValueError: no plugin has this name
        :raises RuntimeError: several distributions register it
        """
        return "this process" if name in self._registered else _distribution(self._find(name))

    def load(self, name: str) -> Any:
        """Import the plugin ``name`` and return the object that its entry point names.

        :raises ValueError: no plugin has this name
        :raises RuntimeError: several distributions register it, or its import fails
        """
        if name in self._registered:
            return self._registered[name]
        entry_point = self._find(name)
        try:
            return entry_point.load()
        except (Exception, SystemExit) as error:  # a plugin's module may do anything
            raise RuntimeError(
                f"{self.noun.capitalize()} {name!r} cannot be loaded: {entry_point.value} of "
                f"{_distribution(entry_point)} raised {type(error).__name__}: {error}"
            ) from error

    def hint(self, name: str) -> str:
        """What to append to an error about an unknown name: how to install it, or the nearest."""
        folder = self.in_checkout(name)
        if folder:
            return f" `{installing(folder)}` adds it."
        return did_you_mean(name, self.names())

    def in_checkout(self, name: str | None = None) -> str | None:
        """Folder of this repository, if it is a checkout, whose plugin brings ``name``."""
        return next(iter(self.all_in_checkout(name)), None)

    def all_in_checkout(self, name: str | None = None) -> list[str]:
        """All such folders.

        :param name: by default any
        """
        key = r"[\w-]+" if name is None else re.escape(name)
        folders = []
        for file in sorted(CHECKOUT.glob("plugins/*/pyproject.toml")):
            section = f'[project.entry-points."{self.group}"]\n'
            entries = file.read_text(encoding="utf-8").partition(section)[2].partition("\n[")[0]
            if re.search(rf"^{key}\s*=", entries, re.MULTILINE):
                folders.append(f"plugins/{file.parent.name}")
        return folders

    def _entry_points(self, name: str | None = None) -> list[EntryPoint]:
        """Those of a name, or all."""
        found = [ep for group in self._groups for ep in entry_points(group=group)]
        return [ep for ep in found if name in (None, ep.name)]

    def _find(self, name: str) -> EntryPoint:
        # By distribution: one that lists its own name twice conflicts with nobody.
        found = {_distribution(ep): ep for ep in self._entry_points(name=name)}
        if not found:
            raise ValueError(self._unknown(name))
        if len(found) > 1:
            raise RuntimeError(
                f"{self.noun.capitalize()} {name!r} is registered by several distributions: "
                f"{', '.join(sorted(found))}. Uninstall all but one."
            )
        return next(iter(found.values()))

    def _unknown(self, name: str) -> str:
        installed = ", ".join(self.names()) or "none"
        return f"No {self.noun} {name!r}.{self.hint(name)} Installed: {installed}."


def did_you_mean(name: str, names: list[str]) -> str:
    """A hint to append to an error where some of ``names`` are near to ``name``, else nothing.

    Nearer than what is spelt alike is what goes on after it: "maze-privileged" to "maze".
    """
    near = [each for each in names if name and each.startswith(f"{name}-")]
    near = near or get_close_matches(name, names, n=1)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def literal(text: str) -> Any:
    """A value as Python writes it, such as 0.2 or True; any other text is itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def named_values(words: Sequence[str]) -> dict[str, Any]:
    """Options that are written as name=value: ``["arms=5"]`` is ``{"arms": 5}``.

    :raises ValueError: a word of another form
    """
    values = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not (name and sign):
            raise ValueError(f"{word}: write name=value, such as split=train.")
        values[name] = literal(text)
    return values


def installing(folder: str) -> str:
    """The command that adds a plugin of this repository."""
    return f"pip install -c constraints.txt -e {folder}"


def _distribution(entry_point: EntryPoint) -> str:
    assert entry_point.dist is not None  # entry_points() sets it
    return f"{entry_point.dist.name} {entry_point.dist.version}"


TASKS = Registry("rl2_sb3.tasks", "task distribution")
MEMORIES = Registry("rl2_sb3.memories", "memory")
BASELINES = Registry("rl2_sb3.baselines", "baseline")
AGENTS = Registry("rl2_sb3.agents", "agent", "rl2_sb3.checkpoints")
COMMANDS = Registry("rl2_sb3.commands", "command")
PRESETS = Registry("rl2_sb3.presets", "preset package")

HOW_TO_INSTALL = installing("plugins/rl2-checkpoints")
"""What gives a checkout the trained agents."""
