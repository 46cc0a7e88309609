"""A trained agent beside baselines, on the same bandits and with the same luck."""

import argparse
from typing import Any

from rl2_sb3 import RL2PPO, evaluate_trials, make_trials
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.trials.make import make_tasks


def main(steps: int, trials: int) -> None:
    """Train on bandits of 5 arms, and compare."""
    tasks, pulls = make_tasks("bandit", arms=5), 10
    model = RL2PPO("GRUPolicy", make_trials(tasks, 500, pulls, seed=0), seed=0)
    model.learn(steps, progress_bar=True)
    agents: dict[str, Any] = {"RL²": model}
    agents |= {name: make_baseline(name, tasks, pulls) for name in ("random", "ucb1(c=0.1)")}
    for name, agent in agents.items():
        result = evaluate_trials(agent, tasks, trials, episodes=pulls)
        per_pull = " ".join(f"{value:.2f}" for value in result.returns.mean(axis=0))
        print(f"{name:12} {result.mean:.3f} ± {result.standard_error:.3f}, by pull: {per_pull}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--trials", type=int, default=10_000)
    args = parser.parse_args()
    main(args.steps, args.trials)
