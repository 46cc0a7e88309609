"""Agents by what one types: a run's folder, an agent's file, an installed agent, or a baseline."""

from __future__ import annotations

from typing import Any

from rl2_sb3 import load_agent
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.registry import BASELINES
from rl2_sb3.trials.play import Predictor


def named_agent(spec: str, tasks: Any, episodes: int) -> Predictor:
    """The agent of that name.

    :param spec: ``runs/mine``, ``bandit-k10-n100`` or ``"beb(prior='true')"``
    :param tasks: what a baseline plays
    :param episodes: of a trial, for a baseline
    """
    if spec.partition("(")[0] in BASELINES:
        return make_baseline(spec, tasks, episodes)
    return load_agent(spec)
