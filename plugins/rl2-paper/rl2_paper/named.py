"""Agents by what one types: a run's folder, an agent's file, an installed agent, or a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from rl2_sb3 import load_agent
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.config import Count, Seed
from rl2_sb3.registry import BASELINES
from rl2_sb3.trials.play import Predictor


@dataclass(kw_only=True)
class NamedAgents:
    """Agents, and the trials in which they are compared."""

    agents: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Runs' folders, agents' files, installed agents, or baselines: "beb(prior='true')"."""
    trials: Count
    """Tasks, new ones."""
    seed: Seed = 0
    """Of tasks and their noise."""

    def load(self, tasks: Any, episodes: int) -> Iterator[tuple[str, Predictor]]:
        """Each agent with its name.

        :param tasks: what a baseline plays
        :param episodes: of a trial, for a baseline
        """
        for spec in self.agents:
            if spec.partition("(")[0] in BASELINES:
                yield spec, make_baseline(spec, tasks, episodes)
            else:
                yield spec, load_agent(spec)
