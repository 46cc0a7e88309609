"""Train RL² on bandits, save the agent, and let it play a bandit of your own."""

import argparse

import numpy as np

from rl2_sb3 import RL2PPO, load_agent, make_trials


def main(steps: int) -> None:
    """Train, then play one trial of ten pulls."""
    trials = make_trials("bandit", n_envs=500, episodes=10, seed=0, arms=5)
    model = RL2PPO("GRUPolicy", trials, seed=0)
    model.learn(steps, progress_bar=True)
    model.save_agent("runs/agent.safetensors")

    rng = np.random.default_rng(1)
    chances = rng.random(5)  # of paying, for each arm: what the agent has to find out
    agent = load_agent("runs/agent.safetensors")
    agent.reset()
    for pull in range(10):
        arm = agent.act(0)  # a bandit shows nothing, which is written 0
        reward = float(rng.random() < chances[arm])
        agent.observe(reward, done=True)
        print(f"pull {pull + 1}: arm {arm}, which pays in {chances[arm]:.0%}, paid {reward:.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    main(parser.parse_args().steps)
