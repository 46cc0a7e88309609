"""Names that options of a task distribution cannot have: `rl2 train` and `rl2 imitate` use them."""

from __future__ import annotations

import inspect
from typing import Any

from rl2_sb3.config import FolderConfig, ImitationRunConfig, TrainConfig
from rl2_sb3.options import flat_defaults

RESERVED = tuple(
    sorted(
        {"config", "debug", "help", "options", "preset"}
        | flat_defaults(TrainConfig).keys()
        | flat_defaults(ImitationRunConfig).keys()
        | flat_defaults(FolderConfig).keys()
    )
)


def option_flaw(tasks: Any) -> str | None:
    """Why the command line could not take the options of a distribution; ``None`` if it can.

    Its options are its constructor's arguments, which it keeps as attributes of their names.
    """
    names = list(inspect.signature(type(tasks)).parameters)
    taken = [name for name in names if name in RESERVED]
    if taken:
        return (
            f"{type(tasks).__name__} has options with names that the command line takes itself: "
            f"{', '.join(taken)}. Rename them; docs/plugins.md lists the names."
        )
    lost = [name for name in names if name not in vars(tasks)]
    if lost:
        return (
            f"{type(tasks).__name__} does not keep its option {lost[0]!r} as an attribute: make it "
            "a dataclass."
        )
    return None
