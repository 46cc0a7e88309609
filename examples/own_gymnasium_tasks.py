"""Tasks of your own for a Gymnasium environment: CartPole with poles of unknown length."""

import argparse
from typing import Any

import gymnasium
import numpy as np

from rl2_sb3 import RL2PPO, GymTasks, evaluate_trials, make_trials


class UnknownPole(gymnasium.Wrapper[Any, Any, Any, Any]):
    """CartPole whose pole has the length that the task says."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if options and "task" in options:
            pole: Any = self.unwrapped
            pole.length, pole.polemass_length = options["task"], options["task"] * pole.masspole
        return self.env.reset(seed=seed)


class Poles(GymTasks):
    """Lengths from .2 to 2 metres; the task is one of them."""

    def sample(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(0.2, 2))

    def make_env(self) -> gymnasium.Env[Any, Any]:
        return UnknownPole(gymnasium.make("CartPole-v1", max_episode_steps=100))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    model = RL2PPO("GRUPolicy", make_trials(Poles(), 8, episodes=2, seed=0), seed=0)
    model.learn(parser.parse_args().steps, progress_bar=True)
    print("Steps, episode by episode:", evaluate_trials(model, Poles(), 50).returns.mean(axis=0))
