"""What agents try in a bandit, pull by pull: ``python -m rl2_paper.table1.explored --help``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tyro
from numpy.typing import NDArray

from rl2_paper.named import NamedAgents
from rl2_sb3 import make_trials
from rl2_sb3.config import Count
from rl2_sb3.ranges import check_config
from rl2_sb3.tasks import BernoulliBandit
from rl2_sb3.trials.play import Predictor, play


@dataclass(kw_only=True)
class Explored(NamedAgents):
    """Print how many arms an agent has tried, and what its pulls cost by what is known then."""

    arms: Count = 10
    """Of a bandit, whose means are uniform."""
    pulls: Count = 100
    """Of a trial."""
    trials: Count = 3000
    """Bandits, new ones."""


class Explorations(NamedTuple):
    """Means over trials, ``(pulls,)`` each."""

    tried: NDArray[np.float64]
    """Arms that have been tried by a pull, this one included."""
    cost: NDArray[np.float64]
    """The highest posterior mean before a pull, less that of the arm that is pulled."""


def main(args: Sequence[str] | None = None) -> None:
    """Play and print."""
    config = tyro.cli(Explored, args=args, description=__doc__)
    check_config(config)
    tasks = BernoulliBandit(arms=config.arms)
    told = sorted({5, 10, 20, 50, config.pulls} & set(range(1, config.pulls + 1)))
    print("agent", *(f"pull {pull}: arms tried, cost" for pull in told), sep=", ")
    for name, agent in config.load(tasks, config.pulls):
        found = explorations(agent, tasks, config.pulls, config.trials, config.seed)
        numbers = (f"{found.tried[n - 1]:.2f}, {found.cost[n - 1]:.4f}" for n in told)
        print(name, *numbers, sep=", ", flush=True)


def explorations(
    agent: Predictor, tasks: BernoulliBandit, pulls: int, trials: int, seed: int
) -> Explorations:
    """Play, and count."""
    successes, counts = np.zeros((2, trials, tasks.arms))
    columns, told = np.arange(trials), Explorations(np.zeros(pulls), np.zeros(pulls))
    for step in play(agent, make_trials(tasks, trials, pulls, seed=seed), trials):
        pull, arm = step.episode[0], np.asarray(step.action).reshape(-1)
        means = (successes + tasks.alpha) / (counts + tasks.alpha + tasks.beta)
        told.cost[pull] = (means.max(axis=1) - means[columns, arm]).mean()
        counts[columns, arm] += 1
        successes[columns, arm] += step.came.reward
        told.tried[pull] = (counts > 0).sum(axis=1).mean()
    return told


if __name__ == "__main__":
    main()
