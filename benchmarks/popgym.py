"""The memories beside sb3-contrib's RecurrentPPO on six of POPGym's environments.

All learn for as many steps from the same trials of one episode, which show the last action and the
last reward as well, as POPGym advises, with networks of the same widths and the same options of
PPO. Their returns are those of held-out deals, actions sampled; seconds are the processor's, of
training, on one thread. What the CSV file has is not trained again.

    python -m benchmarks.popgym --csv plugins/rl2-popgym/results/memories.csv \
        --readme plugins/rl2-popgym/README.md
    python -m benchmarks.popgym --only RepeatFirstMedium --steps 10000 --csv /tmp/tried.csv
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import torch as th
import tyro
from gymnasium import spaces
from rl2_paper.markdown import markdown_table, replace_between
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.torch_layers import CombinedExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from benchmarks.tables import processor
from rl2_sb3 import RL2PPO, evaluate_trials, make_trials
from rl2_sb3.config import Count, Whole
from rl2_sb3.evaluation import Evaluation
from rl2_sb3.files import replace_whole
from rl2_sb3.provenance import version

ENVIRONMENTS = (
    *("RepeatFirstMedium", "RepeatPreviousEasy", "AutoencodeEasy"),
    *("HigherLowerEasy", "MineSweeperEasy", "NoisyPositionOnlyPendulumEasy"),
)
MEMORIES = ("gru", "lstm", "linear", "window")
RECURRENT_PPO = "RecurrentPPO"
AGENTS = (*MEMORIES, RECURRENT_PPO)
N_ENVS, N_STEPS, COLUMNS = 32, 128, 8
"""Trials at once, steps of a rollout, columns in a minibatch."""
SIZE, LAYER = 128, 64
"""Units of the memory, and of the dense layer after it; the value network has as many."""
COMMON = {"n_epochs": 4, "gamma": 0.99, "gae_lambda": 0.95, "ent_coef": 0.01, "max_grad_norm": 0.5}
LEARNING_RATE, LAST = 1e-3, 0.01
"""At first, and the share of it that is left at the end."""


class Result(NamedTuple):
    """Of one agent."""

    env: str
    agent: str
    """The memory's name, or RecurrentPPO."""
    seed: int
    steps: int
    """Of training."""
    trials: int
    mean: float
    """Return of a held-out episode."""
    standard_error: float
    cpu_seconds: float
    """Of training."""
    version: str


@dataclass(kw_only=True)
class POPGymBenchmark:
    """Train what is missing, write the results and the table."""

    steps: Whole = 1_000_000
    """Of each agent, over all environments; the table shows those of as many."""
    seeds: Count = 1
    """Agents of each kind."""
    trials: Count = 1000
    """Held-out episodes."""
    only: str = ""
    """Environments and agents whose names have this in them."""
    csv: Path = Path("plugins/rl2-popgym/results/memories.csv")
    """File of the results, to which what is missing is added."""
    readme: Path | None = None
    """File whose text between <!-- popgym --> and <!-- /popgym --> is replaced by the table."""


class Model(NamedTuple):
    """What learns, and what then acts."""

    learn: Callable[[int], Any]
    agent: Any


def rl2(memory: str, trials: VecEnv, seed: int) -> Model:
    """RL2PPO with a memory."""
    model = RL2PPO(
        "GRUPolicy",
        trials,
        policy_kwargs={"memory": memory, "hidden_size": SIZE, "layers_after": (LAYER,)},
        n_steps=N_STEPS,
        trials_per_batch=COLUMNS,
        learning_rate=LEARNING_RATE,
        lr_decay=True,
        ent_decay=False,
        seed=seed,
        device="cpu",
        threads=1,
        **COMMON,
    )
    return Model(model.learn, model.policy)


class SideBySide(CombinedExtractor):
    """stable-baselines3's, whose width is an int with MultiDiscrete actions among the features."""

    def __init__(self, observation_space: spaces.Dict):
        super().__init__(observation_space)
        self._features_dim = int(self._features_dim)


def recurrent_ppo(trials: VecEnv, seed: int) -> Model:
    """RecurrentPPO with networks of the same widths."""
    model = RecurrentPPO(
        "MultiInputLstmPolicy",
        trials,
        policy_kwargs={
            "features_extractor_class": SideBySide,
            "lstm_hidden_size": SIZE,
            "net_arch": [LAYER],
            "enable_critic_lstm": True,
        },
        n_steps=N_STEPS,
        batch_size=COLUMNS * N_STEPS,
        learning_rate=LinearSchedule(LEARNING_RATE, LAST * LEARNING_RATE, 1.0),
        seed=seed,
        device="cpu",
        **COMMON,  # type: ignore[arg-type]
    )
    return Model(model.learn, model)


def measure(env: str, agent: str, seed: int, config: POPGymBenchmark) -> Result:
    """Train an agent, and let it play held-out deals."""
    trials = make_trials("popgym", N_ENVS, episodes=1, seed=seed, env=env)
    th.manual_seed(seed)
    make = recurrent_ppo if agent == RECURRENT_PPO else lambda *args: rl2(agent, *args)
    model = make(trials, seed)
    begin = time.process_time()
    model.learn(config.steps)
    seconds = time.process_time() - begin
    trials.close()
    played: Evaluation = evaluate_trials(
        model.agent, "popgym", config.trials, seed=seed, episodes=1, env=env, split="test"
    )
    of_play = config.trials, played.mean, played.standard_error
    return Result(env, agent, seed, config.steps, *of_play, seconds, version())


def read(path: Path) -> list[Result]:
    """The results so far."""
    if not path.exists():
        return []
    kinds: list[Callable[[str], Any]] = [str, str, int, int, int, float, float, float, str]
    with path.open(newline="", encoding="utf-8") as file:
        rows = [[row[name] for name in Result._fields] for row in csv.DictReader(file)]
    return [Result(*(kind(word) for kind, word in zip(kinds, row, strict=True))) for row in rows]


def write(path: Path, results: list[Result]) -> None:
    """All results, in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(Result._fields)]
    for result in sorted(results, key=_place):
        words = (f"{each:.4g}" if isinstance(each, float) else str(each) for each in result)
        lines.append(",".join(words))
    text = "\n".join(lines) + "\n"
    replace_whole(path, lambda file: file.write(text.encode()))


def _place(result: Result) -> tuple[int, int, int, int]:
    env, agent = ENVIRONMENTS.index(result.env), AGENTS.index(result.agent)
    return env, agent, result.seed, result.steps


def table(results: list[Result]) -> str:
    """A line for each environment, a pair of columns for each agent.

    Of one seed the ± is that of the held-out episodes; of several, half their range.
    """
    lines = []
    for env in ENVIRONMENTS:
        line = [f"`{env}`"]
        for agent in AGENTS:
            some = [each for each in results if (each.env, each.agent) == (env, agent)]
            if not some:
                line += ["", ""]
                continue
            means = [each.mean for each in some]
            error = some[0].standard_error if len(some) == 1 else (max(means) - min(means)) / 2
            seconds = mean(each.cpu_seconds for each in some)
            line += [f"{mean(means):.3f} ± {error:.3f}".replace("-", "−"), f"{seconds:.0f} s"]
        lines.append(line)
    head = [""]
    for agent in AGENTS:
        head += [agent if agent == RECURRENT_PPO else f"`{agent}`", "CPU"]
    return markdown_table(head, lines)


def main(config: POPGymBenchmark) -> None:
    """Train what is missing, and write all."""
    th.set_num_threads(1)
    results = read(config.csv)
    for seed, env, agent in product(range(config.seeds), ENVIRONMENTS, AGENTS):
        which = env, agent, seed, config.steps
        if config.only in f"{env} {agent}" and all(each[:4] != which for each in results):
            results.append(measure(env, agent, seed, config))
            print(*results[-1], flush=True)
            write(config.csv, results)
    if config.readme is not None:
        shown = [
            each
            for each in read(config.csv)  # rounded as the file is
            if each.steps == config.steps and each.seed < config.seeds
        ]
        agents = f"{config.seeds} seed{'s' * (config.seeds > 1)}"
        steps = f"{config.steps:,}".replace(",", " ")
        note = f"{steps} steps each, {agents}; {processor()}; one thread."
        replace_between(config.readme, "popgym", f"{table(shown)}\n\n{note}")


if __name__ == "__main__":
    main(tyro.cli(POPGymBenchmark, description=__doc__))
