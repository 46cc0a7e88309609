"""Observations and rewards of any scale: RL2PPO beside sb3-contrib's RecurrentPPO.

CartPole without its velocities, as in sb3-contrib's own performance test, and Pendulum without its
own; RecurrentPPO has VecNormalize around them, RL2PPO ``normalize_observations``, trials of one
episode with the time limit around them. What is in the CSV file is not trained again.

    python -m benchmarks.scale --csv benchmarks/scale.csv --readme docs/scale.md
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch as th
import tyro
from gymnasium import spaces
from gymnasium.envs.classic_control import CartPoleEnv, PendulumEnv
from gymnasium.wrappers import TimeLimit, TransformObservation
from rl2_paper.markdown import markdown_table, replace_between
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from benchmarks.tables import processor
from rl2_sb3 import RL2PPO, TrialWrapper, evaluate_trials

COLUMNS = 8
N_STEPS = 128
MINIBATCH = 2
"""Columns."""
EPISODES = 20
"""Of the evaluation, with deterministic actions, as in sb3-contrib's test."""


def without(env: gym.Env[Any, Any], kept: list[int]) -> gym.Env[Any, Any]:
    """An environment that shows some numbers of its observation."""
    box: Any = env.observation_space
    some = spaces.Box(box.low[kept], box.high[kept], dtype=box.dtype.type)
    return TransformObservation(env, lambda whole: whole[kept], some)


def cartpole() -> gym.Env[Any, Any]:
    """CartPole, of which the two velocities are hidden."""
    return without(CartPoleEnv(), [0, 2])


def pendulum() -> gym.Env[Any, Any]:
    """Pendulum, whose velocity is hidden."""
    return without(PendulumEnv(), [0, 1])


class Task(NamedTuple):
    """What is learned, and with which options."""

    make: Callable[[], gym.Env[Any, Any]]
    """Of an environment whose episodes have no limit."""
    limit: int
    """Steps of an episode."""
    steps: int
    """Of training."""
    recurrent_ppo: dict[str, Any]
    rl2: dict[str, Any]

    def plain(self) -> gym.Env[Any, Any]:
        """The environment."""
        return TimeLimit(self.make(), self.limit)

    def trial(self) -> gym.Env[Any, Any]:
        """A trial of one episode.

        The limit lies around it: the agent does not know how late it is, so what comes after the
        limit has to be in the value, as in RecurrentPPO; a trial's own end has nothing after it.
        """
        return TimeLimit(TrialWrapper(self.make(), episodes=1), self.limit)


# RecurrentPPO's are those of sb3-contrib's test; for Pendulum with a discount that suits it.
COMMON = {"n_epochs": 10, "max_grad_norm": 1.0}
CARTPOLE = {"learning_rate": 7e-4, "gamma": 0.99, "gae_lambda": 0.98, **COMMON}
PENDULUM = {"learning_rate": 1e-3, "gamma": 0.9, "gae_lambda": 0.95, "ent_coef": 0.0, **COMMON}
TASKS = {
    "CartPole without velocities": Task(
        *(cartpole, 500, 50_000, CARTPOLE),
        {**CARTPOLE, "learning_rate": 2e-3, "lr_decay": True, "ent_coef": 0.0},
    ),
    "Pendulum without velocity": Task(
        *(pendulum, 200, 100_000, PENDULUM),
        {**PENDULUM, "learning_rate": 3e-3, "lr_decay": True, "n_steps": 200},
    ),
}


class Result(NamedTuple):
    """Of one agent."""

    task: str
    algorithm: str
    seed: int
    mean_return: float
    """Of episodes."""
    cpu_seconds: float
    """Of training."""


@dataclass(kw_only=True)
class Scale:
    """Train RL2PPO and RecurrentPPO on what they see in part, with observations normalised."""

    seeds: int = 5
    """Agents of each."""
    only: str = ""
    """Tasks and algorithms whose names have this in them."""
    csv: Path = Path("benchmarks/scale.csv")
    """File of the results, to which what is missing is added."""
    readme: Path | None = None
    """File whose text between <!-- scale --> and <!-- /scale --> is replaced by the table."""


def rl2(task: Task, seed: int) -> tuple[float, float]:
    """Mean return and seconds of RL2PPO."""
    model = RL2PPO(
        "GRUPolicy",
        DummyVecEnv([task.trial] * COLUMNS),
        trials_per_batch=MINIBATCH,
        seed=seed,
        device="cpu",
        threads=1,
        policy_kwargs={"normalize_observations": True, "layers_after": (64,)},
        **{"n_steps": N_STEPS, **task.rl2},
    )
    begin = time.process_time()
    model.learn(task.steps)
    seconds = time.process_time() - begin
    played = evaluate_trials(model.policy, task.plain, EPISODES, episodes=1, deterministic=True)
    return played.mean, seconds


def recurrent_ppo(task: Task, seed: int) -> tuple[float, float]:
    """The same of RecurrentPPO."""
    envs = VecNormalize(
        DummyVecEnv([lambda: Monitor(task.plain())] * COLUMNS), gamma=task.recurrent_ppo["gamma"]
    )
    network = {"net_arch": {"vf": [64], "pi": []}, "lstm_hidden_size": 64, "ortho_init": False}
    model = RecurrentPPO(
        "MlpLstmPolicy",
        envs,
        n_steps=N_STEPS,
        batch_size=MINIBATCH * N_STEPS,
        seed=seed,
        device="cpu",
        policy_kwargs={**network, "enable_critic_lstm": True},
        **task.recurrent_ppo,
    )
    begin = time.process_time()
    model.learn(task.steps)
    seconds = time.process_time() - begin
    envs.training = envs.norm_reward = False
    returns, _ = evaluate_policy(model, envs, EPISODES)
    return float(np.mean(returns)), seconds


ALGORITHMS = {"RL2PPO": rl2, "RecurrentPPO": recurrent_ppo}


def read(path: Path) -> list[Result]:
    """The results so far."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            Result(
                row["task"],
                row["algorithm"],
                int(row["seed"]),
                float(row["mean_return"]),
                float(row["cpu_seconds"]),
            )
            for row in csv.DictReader(file)
        ]


def write(path: Path, results: list[Result]) -> None:
    """All results, in order."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Result._fields)
        for result in sorted(results):
            *which, value, seconds = result
            writer.writerow([*which, f"{value:.1f}", f"{seconds:.1f}"])


def table(results: list[Result]) -> str:
    """A line for each task and algorithm."""
    lines = []
    for name, task in TASKS.items():
        for algorithm in ALGORITHMS:
            some = [r for r in results if (r.task, r.algorithm) == (name, algorithm)]
            if not some:
                continue
            returns = [result.mean_return for result in some]
            each = ", ".join(f"{value:.0f}" for value in returns).replace("-", "−")
            least = f"{min(returns):.0f}".replace("-", "−")
            seconds = f"{mean(result.cpu_seconds for result in some):.0f}"
            steps = f"{task.steps:,}".replace(",", " ")
            average = f"{mean(returns):.0f}".replace("-", "−")
            lines.append([name, f"`{algorithm}`", steps, average, least, each, seconds])
    head = ["", "", "steps", "mean return", "least", "of each seed", "CPU seconds"]
    return markdown_table(head, lines)


def main(config: Scale) -> None:
    """Train what is missing, and write all."""
    th.set_num_threads(1)
    results = read(config.csv)
    for name, task in TASKS.items():
        for seed in range(config.seeds):
            for algorithm, train in ALGORITHMS.items():
                known = any(result[:3] == (name, algorithm, seed) for result in results)
                if known or config.only not in f"{name} {algorithm}":
                    continue
                results.append(Result(name, algorithm, seed, *train(task, seed)))
                print(*results[-1], flush=True)
                write(config.csv, results)
    if config.readme is not None:
        text = f"{table(read(config.csv))}\n\n{processor()}; one thread."
        replace_between(config.readme, "scale", text)


if __name__ == "__main__":
    main(tyro.cli(Scale, description=__doc__))
