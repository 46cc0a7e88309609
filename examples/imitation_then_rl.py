"""Learn UCB1 from its choices, then go on by reinforcement learning."""

import argparse
from typing import Any

from rl2_sb3 import RL2PPO, evaluate_trials, make_trials
from rl2_sb3.algorithms.imitation import Imitation
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.config import ImitationConfig
from rl2_sb3.trials.make import make_tasks


def main(batches: int, steps: int) -> None:
    """Imitate, then learn from reward, on bandits of 5 arms and 20 pulls."""
    tasks, pulls = make_tasks("bandit", arms=5), 20
    trials = make_trials(tasks, 256, pulls, seed=0)
    model = RL2PPO("GRUPolicy", trials, learning_rate=5e-4, clip_range=0.1, ent_coef=0.0, seed=0)
    teacher: Any = make_baseline("ucb1(c=0.1)", tasks, pulls)

    def report(name: str) -> None:
        result = evaluate_trials(model, tasks, 2000, episodes=pulls)
        print(f"{name}: {result.mean:.3f} ± {result.standard_error:.3f}")

    Imitation(model, teacher, ImitationConfig(batches=batches, trials_per_batch=64)).learn()
    report("after imitation")
    model.learn(steps, progress_bar=True)
    report("after reinforcement learning")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=1_000_000)
    args = parser.parse_args()
    main(args.batches, args.steps)
