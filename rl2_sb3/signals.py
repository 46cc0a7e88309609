"""What agents learned from, by their files."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any, Literal

Training = Literal["RL from scratch", "privileged RL", "imitation", "RL after imitation"]
"""How an agent learned. From scratch: it and its value network observed states, actions, sampled
rewards and ends of episodes alone. Privileged: with information that only a simulator has."""


def training(info: Mapping[str, Any]) -> Training:
    """How an agent learned, in its last run and in those that it goes on from.

    :param info: the description of its training in its file
    """
    runs = _runs(info)
    if runs[-1].get("teacher"):
        return "imitation"
    if any(run.get("teacher") for run in runs):
        return "RL after imitation"
    return "privileged RL" if any(run.get("privileged") for run in runs) else "RL from scratch"


def learned_from(info: Mapping[str, Any]) -> str:
    """The same in words, run by run: "gittins, then reward, privileged".

    :param info: the description of its training in its file
    """
    return ", then ".join(words for words, _ in groupby(map(_signal, _runs(info))))


def _runs(info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """From the first to the last."""
    return [*info.get("history", []), info]


def _signal(run: Mapping[str, Any]) -> str:
    """A teacher without its parameters, or reward, and whether privileged."""
    signal = str(run.get("teacher") or "reward").partition("(")[0]
    return f"{signal}, privileged" if run.get("privileged") else signal
