"""A task distribution of your own, as arrays: find a hidden point on a line."""

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from rl2_sb3 import RL2PPO, BatchedTasks, check_tasks, evaluate_trials, make_trials


@dataclass
class HiddenPoint(BatchedTasks[Any, Any]):
    """Walk left or right; each step pays the less, the farther the hidden point is."""

    def __post_init__(self) -> None:
        self.observation_space, self.action_space = Box(-3, 3, (1,)), Discrete(2)
        self.horizon = 8  # steps of each episode

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        return rng.uniform(-2, 2, n)

    def reset(self, params: Any, rng: np.random.Generator) -> Any:
        state = np.zeros((len(params), 2))  # place, steps taken
        return state, state[:, :1].astype(np.float32)

    def step(self, params: Any, state: Any, action: Any, rng: np.random.Generator) -> Any:
        place = np.clip(state[:, 0] + np.where(action == 1, 0.5, -0.5), -3, 3)
        state = np.stack([place, state[:, 1] + 1], axis=1)
        return state, state[:, :1].astype(np.float32), -abs(place - params), state[:, 1] >= 8


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=500_000)
    check_tasks(HiddenPoint())
    model = RL2PPO("GRUPolicy", make_trials(HiddenPoint(), 250, episodes=2, seed=0), seed=0)
    model.learn(parser.parse_args().steps, progress_bar=True)
    print(evaluate_trials(model, HiddenPoint(), 1000, episodes=2).returns.mean(axis=0))
