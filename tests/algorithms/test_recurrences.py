"""Training with the recurrence in C++, and with the one in Python."""

from __future__ import annotations

from typing import Any

import pytest
import torch as th

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.memories import native
from rl2_sb3.trials import make_trials
from tests.algorithms.collecting import Model
from tests.envs import RaggedTasks

ALGORITHMS: dict[str, tuple[type[Model], dict[str, Any]]] = {
    "ppo": (RL2PPO, {}),
    "ppo-bf16": (RL2PPO, {"precision": "bf16"}),
    "ppo-relu": (RL2PPO, {"candidate": "relu", "shared": True, "episode_units": 3}),
    "trpo": (RL2TRPO, {"value_network": "sums", "weight_norm": True}),
}


def trained(algorithm: str, blocks: int = 3, **options: Any) -> dict[str, th.Tensor]:
    """All of a policy after learning from some blocks of 40 columns."""
    kind, network = ALGORITHMS[algorithm]
    env = make_trials(RaggedTasks(), 40, episodes=3, seed=0)
    model = kind(
        "GRUPolicy",
        env,
        n_steps=7,
        n_epochs=2,
        seed=0,
        policy_kwargs={"hidden_size": 18, **network},
        **options,
    )
    state: dict[str, th.Tensor] = model.learn(blocks * 40 * 7).policy.state_dict()
    return state


@pytest.mark.filterwarnings("ignore:This CPU has no bf16")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_run_repeated_gives_the_same_bits(algorithm: str, recurrence: str) -> None:
    first, again = trained(algorithm), trained(algorithm)
    assert [name for name in first if not th.equal(first[name], again[name])] == []


def test_any_number_of_threads_gives_the_same_bits(
    library: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, forward = set(), native.native_sequence

    def watched(*arguments: Any) -> th.Tensor:
        taken.add(native._threads.get())
        return forward(*arguments)

    monkeypatch.setattr(native, "native_sequence", watched)
    one, three = trained("ppo", threads=1), trained("ppo", threads=3)
    assert taken == {1, 3}
    assert [name for name in one if not th.equal(one[name], three[name])] == []


@pytest.mark.parametrize("algorithm", ["ppo", "ppo-relu", "trpo"])
def test_both_recurrences_learn_the_same(
    algorithm: str, library: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trained(algorithm, blocks=1)
    monkeypatch.setattr(native, "load", lambda: (None, "for a test"))
    th.testing.assert_close(found, trained(algorithm, blocks=1), rtol=1e-3, atol=1e-4)
