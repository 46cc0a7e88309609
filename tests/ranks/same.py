"""Training whose trials and minibatches are known, so that two ranks can do what one process does.

What happens in a column depends on the column's number and the actions alone, actions on the column
and the step, and a minibatch of one process is made of those of the ranks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch as th
import torch.distributed as dist
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3 import RL2PPO, RL2TRPO, ranks
from rl2_sb3.algorithms.imitation import Imitation
from rl2_sb3.config import ImitationConfig
from rl2_sb3.memories import native
from rl2_sb3.tasks.base import BatchedTasks
from rl2_sb3.trials import make_trials

COLUMNS, PARTS, UPDATES, ACTIONS, LENGTH, EPISODES = 16, 4, 3, 3, 4, 2
RANKS = 2
Weights = dict[str, th.Tensor]


@dataclass
class Known(BatchedTasks[NDArray[Any], NDArray[Any]]):
    """Tasks of numbered columns: the same number, the same tasks.

    :param columns: their numbers
    """

    columns: tuple[int, ...]
    horizon: int = LENGTH
    drawn: int = 0

    def __post_init__(self) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = spaces.Discrete(ACTIONS)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[Any]:
        self.drawn += 1
        shown = (len(self.columns), LENGTH + 1, 2 + ACTIONS)
        drawn = np.random.default_rng(self.drawn).normal(size=(COLUMNS, *shown[1:]))
        scale = 1 + 20 * (np.arange(2 + ACTIONS) == 1)
        return np.asarray(drawn[list(self.columns)][-n:] * scale)

    def reset(self, params: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        steps = np.zeros(len(params), int)
        return steps, params[:, 0, :2].astype(np.float32)

    def step(self, params: Any, state: Any, action: Any, rng: np.random.Generator) -> Any:
        rows, after = np.arange(len(params)), state + 1
        reward = 5 * params[rows, state, 2 + action] + np.square(params[rows, after, 0])
        return after, params[rows, after, :2].astype(np.float32), reward, after == LENGTH


class Rule:
    """A teacher that looks at the observation alone, and is sure."""

    def action_probabilities(
        self, observation: Any, state: Any = None, episode_start: Any = None
    ) -> tuple[NDArray[np.floating], Any]:
        chosen = (observation["observation"][:, 0] > 0) + 1 * (observation["reward"][:, 0] > 0)
        return np.eye(ACTIONS)[chosen], None


@contextmanager
def known_draws(columns: tuple[int, ...], model: RL2PPO | RL2TRPO) -> Iterator[None]:
    """Actions by step and column; orders by minibatch, of which each rank has its share."""
    turns, orders = iter(range(10**6)), iter(range(10**6))

    def actions(deterministic: bool = False) -> th.Tensor:
        drawn = np.random.default_rng([1, next(turns)]).integers(0, ACTIONS, COLUMNS)
        return th.as_tensor(drawn[list(columns)])

    def order(n: int) -> th.Tensor:
        rng, half = np.random.default_rng([2, next(orders)]), COLUMNS // RANKS
        of_ranks = [rng.permutation(half) for _ in range(RANKS)]
        if n == half:
            return th.as_tensor(of_ranks[ranks.rank()])
        parts = [np.array_split(part + half * i, PARTS) for i, part in enumerate(of_ranks)]
        return th.as_tensor(
            np.concatenate([np.concatenate(part) for part in zip(*parts, strict=True)])
        )

    with (
        patch.object(model.policy.action_dist, "get_actions", actions),
        patch.object(th, "randperm", order),
    ):
        yield


def make(kind: type[Any], columns: tuple[int, ...], **options: Any) -> Any:
    """A model whose trials are those of the columns."""
    network = {"hidden_size": 8, **options.pop("network", {})}
    trials = make_trials(Known(columns), len(columns), EPISODES)
    usual = {"seed": 0, "device": "cpu", "trials_per_batch": COLUMNS // PARTS}
    return kind("GRUPolicy", trials, policy_kwargs=network, **{**usual, **options})


def learn(kind: type[Any], columns: tuple[int, ...], **options: Any) -> tuple[Weights, Weights]:
    """Weights before and after some updates."""
    model = make(kind, columns, **options)
    before = copies(model)
    with known_draws(columns, model):
        model.learn(UPDATES * COLUMNS * LENGTH * EPISODES)
    assert model.num_timesteps == UPDATES * COLUMNS * LENGTH * EPISODES
    return before, copies(model)


def imitate(columns: tuple[int, ...]) -> tuple[Weights, Weights]:
    """The same of imitation, two minibatches a round."""
    # A minibatch is of columns that lie side by side, on each rank and in one process.
    if ranks.size() == 1:
        columns = tuple(np.arange(COLUMNS).reshape(RANKS, 2, -1).swapaxes(0, 1).flatten().tolist())
    model = make(RL2PPO, columns, network={"normalize_observations": True})
    before = copies(model)
    config = ImitationConfig(batches=2 * UPDATES, trials_per_batch=COLUMNS // 2)
    Imitation(model, Rule(), config).learn()
    return before, copies(model)


def copies(model: RL2PPO | RL2TRPO) -> Weights:
    """The policy's tensors, parameters and statistics."""
    return {name: each.detach().clone() for name, each in model.policy.state_dict().items()}


Case = Callable[[tuple[int, ...]], tuple[Weights, Weights]]
# A line search in small steps, which other divergences would end elsewhere.
FINE = {"target_kl": 1e-3, "line_search_shrinking_factor": 0.97, "line_search_max_iter": 200}
NORMALISED = {"network": {"normalize_observations": True}}
CASES: dict[str, Case] = {
    "ppo": lambda columns: learn(RL2PPO, columns),
    "ppo, early stop": lambda columns: learn(
        RL2PPO, columns, target_kl=3e-4, learning_rate=1e-3, n_epochs=8
    ),
    "ppo, observations normalised": lambda columns: learn(RL2PPO, columns, **NORMALISED),
    "ppo, one network": lambda columns: learn(RL2PPO, columns, network={"shared": True}),
    "trpo, first-order": lambda columns: learn(RL2TRPO, columns, **FINE, **NORMALISED),
    "trpo, natural step": lambda columns: learn(
        RL2TRPO, columns, step="conjugate-gradient", n_critic_updates=3, **FINE
    ),
    "imitation": imitate,
}


def as_rank(rank: int, folder: str) -> None:
    """Learn all cases as one of the ranks, and write what came of them."""
    th.set_num_threads(1)
    store = f"file://{Path(folder, 'store')}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=RANKS)
    native.load()
    half = COLUMNS // RANKS
    columns = tuple(range(rank * half, (rank + 1) * half))
    os.chdir(folder)
    th.save({name: case(columns) for name, case in CASES.items()}, f"{rank}.pt")
    dist.destroy_process_group()
