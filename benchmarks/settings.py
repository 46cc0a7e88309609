"""The sizes of what is timed, written out, whatever becomes of presets and defaults."""

from __future__ import annotations

from typing import Any, NamedTuple

from rl2_sb3 import RL2PPO, RL2TRPO


class Setting(NamedTuple):
    """A training run; settings that are not named are the defaults of the algorithm."""

    task: str
    options: dict[str, Any]
    columns: int
    episodes: int
    n_steps: int
    minibatch: int  # columns
    learning: dict[str, Any]  # settings of the algorithm
    network: dict[str, Any]  # settings of the policy
    privileged: bool = False
    kind: type[RL2PPO] | type[RL2TRPO] = RL2PPO
    policy: str = "GRUPolicy"
    rollouts: int = 1  # of a round


PLAIN = {"features_extractor_kwargs": {"action_reward": False}}
BANDIT = {"arms": 10}
PLAIN = {"features_extractor_kwargs": {"action_reward": False}}
"""The paper's features, in words that earlier commits know too."""
SHARED_256 = Setting(
    *("bandit", BANDIT, 500, 100, 100, 125),
    {"n_epochs": 5},
    {"hidden_size": 256, "shared": True, **PLAIN},
)
MDP_LEARNING = {"gamma": 0.0, "gae_lambda": 0.95, "value_lambda": 1.0, "n_epochs": 2}
MDP_NETWORK = {
    "hidden_size": 128,
    "layers_after": [128],
    "value_network": "sums",
    "skip": True,
    "memory_steps": 100,
    "features_extractor_kwargs": {"action_reward": True, "state_action": True},
}
SETTINGS: dict[str, Setting] = {
    "shared-256": SHARED_256,
    "collecting": SHARED_256._replace(columns=2500),
    # `make demo`: the defaults of `rl2 train`.
    "demo": Setting(
        *("bandit", {"arms": 5}, 500, 10, 10, 125),
        {"n_epochs": 5, "gamma": 1.0, "gae_lambda": 0.5, "learning_rate": 3e-3, "ent_coef": 0.01},
        {"hidden_size": 64, "features_extractor_kwargs": {"action_reward": True}},
        rollouts=8,
    ),
    # Presets mdp-n10-stage-1 and mdp-n10 of commit c0b4d92.
    "mdp-stage-1": Setting(
        *("tabular-mdp", {}, 500, 10, 100, 25),
        MDP_LEARNING | {"learning_rate": 3e-3, "ent_coef": 0.1},
        MDP_NETWORK,
        privileged=True,
    ),
    "mdp": Setting(
        *("tabular-mdp", {}, 1000, 10, 100, 50),
        MDP_LEARNING | {"learning_rate": 2e-3, "ent_coef": 0.03},
        MDP_NETWORK,
        privileged=True,
    ),
    # The preset `paper`.
    "trpo": Setting(
        *("bandit", BANDIT, 2500, 100, 100, 128),
        {"n_epochs": 5, "gamma": 0.99, "gae_lambda": 0.3, "value_lambda": 1.0},
        {"hidden_size": 256, "candidate": "relu", "weight_norm": True, **PLAIN},
        kind=RL2TRPO,
    ),
    # `rl2 imitate`: the preset bandit-k50-n500-imitation-stage-1.
    "imitation": Setting(
        *("bandit", {"arms": 50}, 16, 500, 500, 16),
        {"gamma": 1.0},
        {"hidden_size": 128, "layers_after": [128], "value_network": "sums"}
        | {"features_extractor_kwargs": {"action_reward": True}},
    ),
    # The preset maze-small-rays.
    "maze": Setting(
        *("raycast-maze", {"size": "small"}, 64, 2, 256, 8),
        {"n_epochs": 2, "gamma": 0.99, "gae_lambda": 0.95, "learning_rate": 7e-4}
        | {"ent_coef": 0.05},
        {"hidden_size": 256, "shared": True, "prediction_coef": 0.5},
        privileged=True,
        policy="CnnGRUPolicy",
    ),
}
