"""Settings as tables: the name of a preset, and what it sets in a :class:`~rl2_sb3.runs.Run`."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # Duan et al. 2016, appendix A, for bandits and tabular MDPs. Two things differ: gradients are
    # clipped, and the value's targets are normalised by running statistics.
    "paper": {
        "steps_per_rollout": 250_000,
        "algorithm": "trpo",
        "learning_rate": 1e-3,
        "lr_decay": False,
        "gamma": 0.99,
        "gae_lambda": 0.3,
        "clip_range": 0.1,
        "n_epochs": 5,
        "target_kl": 0.01,
        "trials_per_batch": 128,
        "ent_coef": 0.0,
        "hidden_size": 256,
        "candidate": "relu",
        "weight_norm": True,
        "layers_after": (),
        "action_reward": False,
        "value_lambda": 1.0,
        "shared": False,
    },
}
