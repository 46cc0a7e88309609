"""Settings as tables: the name of a preset, and what it sets on the command line.

A preset's ``options`` are those of the task, and ``after`` names the preset whose agent it goes on
from. All else is a field of :class:`~rl2_sb3.config.TrainConfig`, or of
:class:`~rl2_sb3.config.ImitationRunConfig`.

A name tells how its agent learns. "-privileged": from what only a simulator knows, too, in training
alone. "-imitation": from a teacher; "-imitation-rl": then by reinforcement, privileged in all that
are here. None of them: from states, actions, sampled rewards and ends of episodes, which are all
that its value network sees as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

Preset = dict[str, Any]

# Duan et al. 2016, appendix A, for bandits and tabular MDPs. Two things differ: gradients are
# clipped, and the value's targets are normalised by running statistics.
PAPER: Preset = {
    "steps_per_rollout": 250_000,
    "algorithm": "trpo",
    "learning_rate": 1e-3,
    "lr_decay": False,
    "gamma": 0.99,
    "gae_lambda": 0.3,
    "value_lambda": 1.0,
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
    "shared": False,
}

# Ten pulls are learned from scratch with the defaults.
SHORT: Preset = {"steps": 5_000_000, "action_reward": False}

# A hundred pulls: first ten, then thirty, then all. Expected rewards, and a value network that sees
# the arms' means and learns from whole returns, make a long horizon learnable. So what has this is
# privileged.
LONG: Preset = {
    "privileged": True,
    "value_network": "sums",
    "value_lambda": 1.0,
    "gae_lambda": 0.95,
    "n_epochs": 2,
}
STAGE_10: Preset = (
    LONG
    | {"steps": 1_500_000, "n_envs": 4000, "trials_per_batch": 500}
    | {"learning_rate": 2e-3, "lr_decay": False, "ent_coef": 0.03, "ent_decay": False}
)
STAGE_30: Preset = (
    LONG
    | {"steps": 3_000_000, "n_envs": 1500, "trials_per_batch": 200}
    | {"learning_rate": 1.5e-3, "lr_decay": False, "ent_coef": 0.015, "ent_decay": False}
)
STAGE_100: Preset = (
    LONG
    | {"steps": 20_000_000, "n_envs": 500, "trials_per_batch": 64}
    | {"learning_rate": 1e-3, "ent_coef": 0.015}
)
STAGE_500: Preset = STAGE_100 | {"n_envs": 100, "trials_per_batch": 13}
# Fifty arms: first a pull counts for what it pays alone (gamma 0), so that the agent learns to
# adopt whatever arm turns out well, at whatever time; then for all that follows.
NOW: Preset = (
    LONG
    | {"memory_steps": 100, "gamma": 0.0, "steps": 3_000_000}
    | {"n_envs": 500, "trials_per_batch": 25, "learning_rate": 3e-3}
    | {"ent_coef": 0.1, "ent_decay": False}
)
THEN: Preset = (
    LONG
    | {"memory_steps": 100, "steps": 20_000_000}
    | {"n_envs": 500, "trials_per_batch": 50, "learning_rate": 1e-3, "ent_coef": 0.02}
)
# The same again, in smaller steps.
AGAIN: Preset = {"trials_per_batch": 25, "seed": 1}
SHORTER: Preset = {"steps": 15_000_000}
REHEATED: Preset = {"steps": 12_000_000, "ent_coef": 0.03}
UNITS_64: Preset = {"hidden_size": 64, "layers_after": (64,)}
UNITS_128: Preset = {"hidden_size": 128, "layers_after": (128,)}
UNITS_256: Preset = {"hidden_size": 256, "layers_after": (256,)}

TAUGHT = {"k5-n100": (5, 100), "k10-n100": (10, 100), "k50-n100": (50, 100), "k50-n500": (50, 500)}
IMITATE: Preset = UNITS_128 | {
    "teacher": "gittins(method='finite-horizon')",
    "value_network": "sums",
    "batches": 8000,
    "trials_per_batch": 32,
}
# A teacher that goes through fresh arms in their order earns as much, and its pupil need not
# remember a set of fifty.
IN_ORDER: Preset = {"teacher": "gittins(method='finite-horizon', ties='first')"}
BY_16: Preset = IMITATE | IN_ORDER | {"trials_per_batch": 16}
# Bandits whose arms are poorer than the teacher is told: seldom otherwise is none of fifty good
# enough to stay with, and that is where a pupil falls short.
POORER: Preset = {
    "options": {"arms": 50, "beta": 1.25},
    "teacher": "gittins(method='finite-horizon', ties='first', prior_beta=1.0)",
}

# From its teacher on by small steps, privileged. With lambda below 1 the value network's errors
# bend the gradient, and the agent falls back.
AFTER_IMITATION: Preset = (
    LONG
    | UNITS_128
    | {"steps": 10_000_000, "algorithm": "trpo", "target_kl": 0.0003, "gae_lambda": 1.0}
    | {"n_envs": 4000, "trials_per_batch": 500, "learning_rate": 1e-4, "ent_coef": 0.0}
)
FEWER_TRIALS: Preset = {"n_envs": 800, "trials_per_batch": 100}

# name, arms, pulls, goes on from, settings
Row = tuple[str, int, int, str | None, Preset]
# name, episodes, goes on from, settings
MDPRow = tuple[str, int, str | None, Preset]
BANDITS: list[Row] = [
    ("bandit-k5-n10", 5, 10, None, SHORT),
    ("bandit-k10-n10", 10, 10, None, SHORT),
    ("bandit-k50-n10", 50, 10, None, SHORT),
    ("bandit-k5-stage-10-privileged", 5, 10, None, STAGE_10 | UNITS_64),
    ("bandit-k5-stage-30-privileged", 5, 30, "bandit-k5-stage-10-privileged", STAGE_30 | UNITS_64),
    (
        "bandit-k5-stage-100-privileged",
        5,
        100,
        "bandit-k5-stage-30-privileged",
        STAGE_100 | UNITS_64 | SHORTER,
    ),
    (
        "bandit-k5-n100-privileged",
        5,
        100,
        "bandit-k5-stage-100-privileged",
        STAGE_100 | UNITS_64 | REHEATED,
    ),
    ("bandit-k10-stage-10-privileged", 10, 10, None, STAGE_10 | UNITS_128),
    (
        "bandit-k10-stage-30-privileged",
        10,
        30,
        "bandit-k10-stage-10-privileged",
        STAGE_30 | UNITS_128,
    ),
    (
        "bandit-k10-n100-privileged",
        10,
        100,
        "bandit-k10-stage-30-privileged",
        STAGE_100 | UNITS_128,
    ),
    ("bandit-k50-stage-100-privileged", 50, 100, None, NOW | UNITS_128),
    (
        "bandit-k50-stage-2-100-privileged",
        50,
        100,
        "bandit-k50-stage-100-privileged",
        THEN | UNITS_128,
    ),
    (
        "bandit-k50-n100-privileged",
        50,
        100,
        "bandit-k50-stage-2-100-privileged",
        THEN | UNITS_128 | AGAIN,
    ),
    ("bandit-k5-n500-privileged", 5, 500, "bandit-k5-n100-privileged", STAGE_500 | UNITS_64),
    ("bandit-k10-n500-privileged", 10, 500, "bandit-k10-n100-privileged", STAGE_500 | UNITS_128),
    ("bandit-k50-n500-privileged", 50, 500, "bandit-k50-n100-privileged", STAGE_500 | UNITS_128),
    *(
        (
            f"bandit-{cell}-imitation-rl",
            *sizes,
            f"bandit-{cell}-imitation",
            AFTER_IMITATION | ({} if sizes[1] == 100 else FEWER_TRIALS),
        )
        for cell, sizes in TAUGHT.items()
    ),
]
IMITATIONS: list[Row] = [
    ("bandit-k5-n100-imitation", 5, 100, None, IMITATE),
    ("bandit-k10-n100-imitation", 10, 100, None, IMITATE),
    ("bandit-k50-n100-imitation", 50, 100, None, IMITATE | IN_ORDER),
    (
        "bandit-k50-n500-imitation-stage-1",
        50,
        500,
        None,
        BY_16,
    ),
    (
        "bandit-k50-n500-imitation-stage-2",
        50,
        500,
        "bandit-k50-n500-imitation-stage-1",
        BY_16 | {"batches": 6000, "learning_rate": 1e-3, "seed": 1},
    ),
    (
        "bandit-k50-n500-imitation-stage-3",
        50,
        500,
        "bandit-k50-n500-imitation-stage-2",
        BY_16 | {"batches": 3600, "learning_rate": 1e-3, "seed": 2},
    ),
    (
        "bandit-k50-n500-imitation-stage-4",
        50,
        500,
        "bandit-k50-n500-imitation-stage-3",
        BY_16 | POORER | {"batches": 3600, "learning_rate": 1e-3, "seed": 3},
    ),
    (
        "bandit-k50-n500-imitation",
        50,
        500,
        "bandit-k50-n500-imitation-stage-4",
        BY_16 | {"batches": 800, "learning_rate": 3e-4, "seed": 4},
    ),
]


# In an MDP an agent learns what each action is worth in each state. The last state beside the last
# action lets a unit be written to by one such pair, and ``skip`` lets the present state choose what
# is read.
MDP_NETWORK: Preset = UNITS_256 | {
    "value_network": "sums",
    "state_action": True,
    "skip": True,
    "memory_steps": 100,
}
# An action counts for what it costs alone (gamma 0), which teaches what to write and to read; with
# much entropy, until that is found.
MDP: Preset = (
    MDP_NETWORK
    | LONG
    | UNITS_128
    | {"steps": 10_000_000, "gamma": 0.0}
    | {"n_envs": 500, "trials_per_batch": 25, "learning_rate": 3e-3, "ent_coef": 0.1}
)
# From its teacher on, past it: smaller steps than from scratch, and nothing bent by lambda.
MDP_AFTER_IMITATION: Preset = (
    MDP_NETWORK
    | LONG
    | {"steps": 60_000_000, "precision": "bf16", "gae_lambda": 0.97, "clip_range": 0.1}
    | {"n_envs": 1000, "trials_per_batch": 50, "learning_rate": 5e-4, "ent_coef": 0.0}
)
MDPS: list[MDPRow] = [
    ("mdp-n10-stage-1-privileged", 10, None, MDP),
    (
        "mdp-n10-privileged",
        10,
        "mdp-n10-stage-1-privileged",
        MDP
        | {"steps": 15_000_000, "n_envs": 1000, "trials_per_batch": 50}
        | {"learning_rate": 2e-3, "ent_coef": 0.03},
    ),
    (
        "mdp-n25-privileged",
        25,
        "mdp-n10-privileged",
        MDP
        | {"steps": 8_000_000, "n_envs": 400, "trials_per_batch": 20}
        | {"learning_rate": 1e-3, "ent_coef": 0.03},
    ),
    ("mdp-n10-imitation-rl", 10, "mdp-n10-imitation", MDP_AFTER_IMITATION),
]
IMITATE_MDP: Preset = MDP_NETWORK | {"trials_per_batch": 16, "n_envs": 128}
BEB = "beb(prior='true', scaling={})"
MDP_IMITATIONS: list[MDPRow] = [
    (
        "mdp-n10-imitation",
        10,
        None,
        IMITATE_MDP | {"teacher": BEB.format(0.0002512), "batches": 16_000},
    ),
    (
        "mdp-n25-imitation",
        25,
        "mdp-n10-imitation",
        IMITATE_MDP | {"teacher": BEB.format(0.0002512), "batches": 4000, "learning_rate": 1e-3},
    ),
    (
        "mdp-n100-imitation",
        100,
        "mdp-n25-imitation",
        IMITATE_MDP | {"teacher": BEB.format(0.000631), "batches": 1600, "learning_rate": 1e-3},
    ),
]


# Seen in pictures (rl2-vizdoom). With an entropy of .01 it takes longer to miss fewer goals. Blocks
# of 256 steps hold most trials whole, so that what the second episode needs reaches back to the
# first; and the memory is taught where the goal is.
MAZE: Preset = (
    {"options": {"size": "small"}, "episodes": 2}
    | {"policy": "CnnGRUPolicy", "hidden_size": 256, "shared": True, "precision": "bf16"}
    | {"privileged": True, "prediction_coef": 0.5, "n_steps": 256, "trials_per_batch": 8}
    | {"n_epochs": 2, "gamma": 0.99, "gae_lambda": 0.95}
)
MAZES: dict[str, Preset] = {
    "maze-small-rays-privileged": MAZE
    | {"task": "raycast-maze", "steps": 8_500_000, "n_envs": 64}
    | {"learning_rate": 7e-4, "ent_coef": 0.05},
    "maze-small-privileged": MAZE
    | {
        "task": "vizdoom-maze",
        "after": "maze-small-rays-privileged",
        "steps": 300_000,
        "n_envs": 32,
    }
    | {"learning_rate": 1e-4, "ent_coef": 0.0, "workers": "threads"},
}


def _bandits(rows: list[Row]) -> dict[str, Preset]:
    return {
        name: {"task": "bandit", "options": {"arms": arms}, "episodes": pulls, "after": after}
        | settings
        for name, arms, pulls, after, settings in rows
    }


def _mdps(rows: list[MDPRow]) -> dict[str, Preset]:
    return {
        name: {"task": "tabular-mdp", "episodes": episodes, "after": after} | settings
        for name, episodes, after, settings in rows
    }


TRAIN: dict[str, Preset] = {
    "default": {},
    "paper": PAPER,
    **_bandits(BANDITS),
    **_mdps(MDPS),
    **MAZES,
}
"""Presets of ``rl2 train``."""
IMITATION: dict[str, Preset] = {
    "default": {},
    **_bandits(IMITATIONS),
    **_mdps(MDP_IMITATIONS),
}
"""Presets of ``rl2 imitate``."""


def run_folder(preset: str) -> Path:
    """Where the run of a preset lies, unless ``--out`` says otherwise."""
    return Path("runs") / preset
