"""Values on the command line as W&B's agent writes them, in Python: for our own parser.

``--skip=True``, ``--layers_after=[64, 64]`` and ``--network={'hidden_size': 64}`` are ``--skip``,
``--layers_after 64 64`` and ``--hidden_size=64``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from rl2_sb3.registry import literal

OTHER_NAMES = {
    "total_timesteps": "steps",
    "n_timesteps": "steps",
    "batch_size": "trials_per_batch",
    "net_arch": "layers_after",
    "lr": "learning_rate",
}
"""What options of ours are called in SB3 and its zoo."""


def check_other_names(words: Sequence[str], ours: Collection[str], tasks: Collection[str]) -> None:
    """Raise a ValueError for an option that has another name here.

    :param words: of the command line, those that are no option of the command
    :param ours: the command's options
    :param tasks: those of the task
    """
    for word in words:
        flag = word.partition("=")[0]
        field = flag.removeprefix("--").replace("-", "_")
        name = OTHER_NAMES.get(field, "")
        if flag.startswith("--") and name in ours and field not in tasks:
            raise ValueError(f"{flag}: the option is called --{name.replace('_', '-')} here.")


def plain_words(
    words: Sequence[str], groups: Collection[str], open_switches: Collection[str] = ()
) -> list[str]:
    """The words of a command line, with such values taken apart.

    :param groups: names of what only groups options
    :param open_switches: switches that take True and False as values
    """
    found: list[str] = []
    for word in words:
        flag, sign, text = word.partition("=")
        value = literal(text) if sign and flag.startswith("--") else None
        if isinstance(value, (bool, list, dict)):
            found += _words(flag[2:], value, groups, open_switches) or [word]
        else:
            found.append(word)
    return found


def _words(
    name: str, value: Any, groups: Collection[str], open_switches: Collection[str]
) -> list[str]:
    plain = name.replace("-", "_")
    if isinstance(value, bool):
        if plain in open_switches:
            return [f"--{name}={value}"]
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    if isinstance(value, dict) and plain in groups:
        return [word for key in value for word in _words(key, value[key], groups, open_switches)]
    if isinstance(value, dict):
        return [f"--{name}", *(f"{key}={each!r}" for key, each in value.items())]
    return [f"--{name}={value}"]
