"""What ranks tell each other, and training from Python with a process group."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
import torch.distributed as dist
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from rl2_sb3 import RL2PPO, make_trials, pooled, ranks
from rl2_sb3.trials.callback import EveryRank
from tests.ranks.launch import launch

RNG = np.random.default_rng(0)
VALUES = RNG.normal(100, 0.01, (2, 50, 3))
"""Of each rank: fifty values of three kinds."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def both(do: Callable[[], None], limit: timedelta = ranks.TIMEOUT) -> list[str]:
    """Two ranks do the same; gives what they said. One with an error says it and fails."""

    def joined() -> None:
        dist.init_process_group("gloo", timeout=limit)
        do()

    first, second = launch([joined, joined])
    assert first.status == second.status == 0, (first.said, second.said)
    return [first.said, second.said]


def test_statistics_are_those_of_all_values() -> None:
    def check() -> None:
        own, every = VALUES[ranks.rank()], VALUES.reshape(-1, 3)
        mean, variance = pooled.array_moments(own.mean(axis=0), own.var(axis=0))
        np.testing.assert_allclose(mean, every.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(variance, every.var(axis=0), rtol=1e-9)
        single, deviation = pooled.mean_and_deviation(own.astype(np.float32))
        np.testing.assert_allclose(single, every.astype(np.float32).mean(dtype=float), rtol=1e-12)
        np.testing.assert_allclose(deviation, every.astype(np.float32).std(dtype=float), rtol=1e-9)
        whole = th.as_tensor(every[:, 0])
        expected = ((whole - whole.mean()) / (whole.std() + 1e-8)).chunk(2)[ranks.rank()]
        th.testing.assert_close(pooled.standardised(th.as_tensor(own[:, 0])), expected)
        explained = pooled.explained_variance(own[:, 0], own[:, 1])
        rest = np.var(every[:, 1] - every[:, 0]) / np.var(every[:, 1])
        np.testing.assert_allclose(explained, 1 - rest)

    both(check)


def test_sums_and_copies() -> None:
    def check() -> None:
        rank = ranks.rank()
        assert ranks.total(th.tensor([1.0, rank])).tolist() == [2.0, 1.0]
        assert ranks.mean(th.tensor(float(rank))) == 0.5
        assert ranks.greatest(rank, 7 - rank) == [1, 7]
        assert ranks.gather(rank) == ([0, 1] if rank == 0 else [1])
        assert ranks.share(8, "n_envs") == 4
        layer = nn.BatchNorm1d(3)  # with buffers, one of them whole numbers
        layer.weight.grad = th.full((3,), float(rank))
        with th.no_grad():
            layer.bias.fill_(1 + rank)
        layer.running_mean, layer.num_batches_tracked = th.full((3,), rank + 3.0), th.tensor(rank)
        ranks.copy_first(layer)
        ranks.average_gradients(layer.parameters())
        assert layer.bias.tolist() == [1.0] * 3
        assert layer.running_mean.tolist() == [3.0] * 3
        assert layer.num_batches_tracked == 0
        assert layer.weight.grad.tolist() == [0.5] * 3
        assert layer.bias.grad is None
        assert ranks.traffic.calls == 7
        # Rings: of two ranks' sums each sends the whole; and the first one's copies.
        assert ranks.traffic.bytes_sent == 8 + 4 + 16 + 12 + (48 + 8) * (rank == 0)

    both(check)


def test_one_that_fails_ends_all() -> None:
    def check() -> None:
        def second_fails() -> int:
            if ranks.rank() == 1:
                raise KeyError("mine")
            return 3

        with pytest.raises(ranks.EchoError if ranks.is_first() else KeyError, match="mine"):
            ranks.together(second_fails)
        assert ranks.together(ranks.rank, first_alone=True) == 0

    both(check)


def test_a_rank_that_does_not_answer() -> None:
    def check() -> None:
        if ranks.is_first():
            with pytest.raises(ranks.LostError, match=r"rank 0 ends \(.*[Tt]imed out"):
                ranks.total(th.zeros(1))
            Path("over").touch()
        while not Path("over").exists():
            time.sleep(0.01)

    both(check, timedelta(seconds=5))  # they meet within it, too


class Stop(BaseCallback):
    """Ends training in the second rollout, and says who called it."""

    def _on_step(self) -> bool:
        if self.n_calls == 1:
            print(f"called on rank {ranks.rank()}")
        return self.n_calls < 8


def test_a_group_is_enough_for_learning() -> None:
    def check() -> None:
        os.environ["COLUMNS"] = "200"
        env = make_trials("bandit", 8, 5)
        options = {"tensorboard_log": f"board-{ranks.rank()}", "policy_kwargs": {"hidden_size": 8}}
        model = RL2PPO("GRUPolicy", env, seed=0, verbose=1, n_epochs=1, **options)
        saving = CheckpointCallback(1, f"saved-{ranks.rank()}", verbose=1)
        model.learn(1000, callback=[saving, Stop()])
        assert model.num_timesteps == 160  # the second rank had played the rollout to its end
        model.save("both", exact=True)
        model.save_agent("both.safetensors")
        other = RL2PPO.load("both", env=make_trials("bandit", 8, 5), force_reset=False)
        th.testing.assert_close(other._memory, model._memory, rtol=0, atol=0)
        with pytest.raises(ValueError, match="the first rank alone: let all ranks call save"):
            RL2PPO.load("saved-0/rl_model_16_steps", env=env, force_reset=False)
        model.learn(80)

    first, second = both(check)
    assert "called on rank 0" in first
    assert "trial/" in first
    assert second == ""
    assert {path.name for path in Path().iterdir()} == {
        *("both.zip", "both.safetensors", "board-0", "saved-0", "rank-0.txt", "rank-1.txt")
    }


def test_learning_that_fails_on_one_rank_raises_on_all() -> None:
    def check() -> None:
        env: Any = make_trials("bandit", 8, 5)
        if not ranks.is_first():
            env.step_wait = lambda: vars(ranks)["mine"]
        with pytest.raises(
            ranks.EchoError if ranks.is_first() else KeyError, match=r"Another|mine"
        ):
            RL2PPO("GRUPolicy", env, policy_kwargs={"hidden_size": 8}).learn(80)

    both(check)


class Meddling(EveryRank):
    """Resets the training environment after a rollout's last step."""

    def __init__(self, trials: Any):
        super().__init__()
        self.trials = trials

    def _on_step(self) -> bool:
        if self.n_calls == 5:
            self.trials.reset()
        return True


def test_a_rollout_that_is_refused_on_one_rank_ends_all() -> None:
    """What is looked at when a rollout is whole."""

    def check() -> None:
        env: Any = make_trials("bandit", 8, 5)
        callback = None if ranks.is_first() else Meddling(env)
        with pytest.raises(
            ranks.EchoError if ranks.is_first() else RuntimeError, match=r"Another|Something else"
        ):
            RL2PPO("GRUPolicy", env, policy_kwargs={"hidden_size": 8}).learn(80, callback)

    both(check)


ENDS = """
import os, sys
from torch import distributed
from rl2_sb3 import RL2PPO

def of_gloo():
    tasks = "/proc/self/task"
    return ["gloo" in open(f"{tasks}/{each}/comm").read() for each in os.listdir(tasks)]

distributed.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)
RL2PPO("GRUPolicy", "bandit", device="cpu", threads=1)  # makes an optimiser
assert any(of_gloo())
distributed.destroy_process_group()
assert not any(of_gloo())
"""


def test_threads_of_a_group_end_with_it(tmp_path: Path) -> None:
    """One that lives on and frees a tensor while Python ends would abort the process."""
    command = [sys.executable, "-c", ENDS, str(tmp_path / "meeting")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_minibatches_are_for_all_ranks() -> None:
    """By default there is a column of each; a checkpoint of fewer columns is refused."""
    one = RL2PPO("GRUPolicy", make_trials("bandit", 8, 5), trials_per_batch=1)
    one.save("one")

    def check() -> None:
        with pytest.raises(ValueError, match="1 columns cannot be shared by 2 ranks"):
            RL2PPO.load("one", env=make_trials("bandit", 4, 5))
        assert RL2PPO("GRUPolicy", make_trials("bandit", 1, 5)).batch_size == 2 * 5
        print(RL2PPO("GRUPolicy", "bandit").policy.device, th.rand(1).item())

    first, second = both(check)
    assert first != second  # noise of their own without a seed, too


def test_what_only_one_rank_would_know_is_refused() -> None:
    def check() -> None:
        trials = VecNormalize(make_trials("bandit", 4, 5), norm_obs=False)
        model = RL2PPO("GRUPolicy", trials, seed=0)
        with pytest.raises(ValueError, match="A VecNormalize scales the rewards of one rank"):
            model.learn(10)
        other = RL2PPO("GRUPolicy", "bandit", gamma=0.5 + 0.1 * ranks.rank())
        assert other.n_envs == 250
        kind = ValueError if ranks.is_first() else ranks.EchoError
        with pytest.raises(kind, match=r"gamma: 0.5 on rank 0, 0.6 on rank 1"):
            other.learn(10)

    both(check)
