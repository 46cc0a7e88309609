"""A memory of your own in the GRU's place: means whose speeds are learned."""

import argparse

import torch as th

from rl2_sb3 import RL2PPO, evaluate_trials, make_trials
from rl2_sb3.memories import Memory
from rl2_sb3.registry import MEMORIES
from rl2_sb3.testing import check_memory


class Decay(Memory):
    """Running means of a layer's outputs, each unit's with a speed of its own."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.state_size = self.output_size = size
        self.layer = th.nn.Linear(inputs, size)
        self.speed = th.nn.Parameter(th.linspace(-3, 3, size))

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        outputs = []
        for t, seen in enumerate(self.layer(x).tanh()):
            state = th.lerp(state if keep is None else state * keep[t], seen, self.speed.sigmoid())
            outputs.append(state)
        return th.stack(outputs), state


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    check_memory(Decay)
    MEMORIES.register("decay", Decay)  # a package has an entry point
    trials, network = make_trials("bandit", 500, 10, seed=0, arms=5), {"memory": "decay"}
    model = RL2PPO("GRUPolicy", trials, policy_kwargs=network, seed=0)
    model.learn(parser.parse_args().steps, progress_bar=True)
    print(evaluate_trials(model, "bandit", 1000, episodes=10, arms=5).mean)
