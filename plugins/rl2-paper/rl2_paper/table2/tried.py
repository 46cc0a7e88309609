"""How much agents try out in an MDP: ``python -m rl2_paper.table2.tried --help``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tyro
from numpy.typing import NDArray

from rl2_paper.named import NamedAgents
from rl2_sb3 import make_trials
from rl2_sb3.config import Count
from rl2_sb3.ranges import check_config
from rl2_sb3.tasks import TabularMDP
from rl2_sb3.trials.play import Predictor, play


@dataclass(kw_only=True)
class Tried(NamedAgents):
    """Print how many pairs of a state and an action an agent has tried by an episode's end."""

    episodes: Count = 25
    """Of a trial."""
    trials: Count = 300
    """MDPs of 10 states and 5 actions, new ones."""


def main(args: Sequence[str] | None = None) -> None:
    """Play and print."""
    config = tyro.cli(Tried, args=args, description=__doc__)
    check_config(config)
    tasks = TabularMDP()
    told = sorted({1, 2, 5, 10, config.episodes} & set(range(1, config.episodes + 1)))
    print("agent", *(f"episode {episode}" for episode in told), sep=", ")
    for name, agent in config.load(tasks, config.episodes):
        found = tried(agent, tasks, config.episodes, config.trials, config.seed)
        print(name, *(f"{found[episode - 1]:.1f}" for episode in told), sep=", ", flush=True)


def tried(
    agent: Predictor, tasks: TabularMDP, episodes: int, trials: int, seed: int
) -> NDArray[np.float64]:
    """Pairs of a state and an action that were tried by each episode's end, the mean over trials.

    :return: ``(episodes,)``
    """
    pairs = np.zeros((trials, tasks.states, tasks.actions), np.bool_)
    columns, found = np.arange(trials), np.zeros(episodes)
    for step in play(agent, make_trials(tasks, trials, episodes, seed=seed), trials):
        states = np.asarray(step.observation["observation"]).reshape(-1)
        pairs[columns, states, np.asarray(step.action).reshape(-1)] = True
        found[step.episode[0]] = pairs.sum(axis=(1, 2)).mean()
    return found


if __name__ == "__main__":
    main()
