"""The value network's warm-up."""

from __future__ import annotations

from typing import Any

import pytest
import torch as th

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.trials import make_trials


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [(RL2PPO, {}), (RL2TRPO, {}), (RL2TRPO, {"step": "conjugate-gradient", "cg_max_steps": 2})],
)
def test_the_value_network_learns_alone_at_first(algorithm: Any, options: Any) -> None:
    trials = make_trials("bandit", 8, episodes=5, seed=0)
    network = {"hidden_size": 8}
    model = algorithm(
        "GRUPolicy", trials, seed=0, policy_kwargs=network, value_warmup=41, **options
    )
    actor = model.policy.actor_parameters()
    others = [p for p in model.policy.parameters() if not any(p is each for each in actor)]
    before, values = [p.clone() for p in actor], [p.clone() for p in others]
    model.learn(80)  # two rollouts of forty steps, of which the second begins within the warm-up
    assert all(map(th.equal, actor, before))
    assert not any(map(th.equal, others, values))
    logged = model.logger.name_to_value
    assert {"train/value_loss", "train/explained_variance"} <= logged.keys()
    model.learn(40, reset_num_timesteps=False)
    assert not any(map(th.equal, actor, before))
