"""Play against RL²: ``python -m docs.play`` makes the page of installed agents.

The page is one file, of page.html, its scripts, the agents' numbers and the recordings of a maze
agent; it needs no server and no network. The recordings are made anew, in five minutes, where
rl2-vizdoom is installed and ``--keep-mazes`` is not said; else those in mazes.json stay.
"""

from __future__ import annotations

import base64
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from torch import nn

from docs.play.mazes import record, recorded
from rl2_sb3 import Agent, load_agent
from rl2_sb3.baselines.gittins import gittins_table
from rl2_sb3.memories import GRU
from rl2_sb3.policies.features import TrialFeatures

HERE = Path(__file__).parent
AGENTS = ("bandit-k5-n10", "bandit-k10-n10", "bandit-k10-n100")
SEEN = ["action", "done", "observation", "reward"]
"""The features that the page's code makes, in its order."""


def build(out: Path = HERE / "index.html") -> Path:
    """Write the page.

    :param out: where
    :return: ``out``
    """
    page = (HERE / "page.html").read_text(encoding="utf-8")
    for place, text in {
        "/*BANDIT*/\n": (HERE / "bandit.js").read_text(encoding="utf-8"),
        "/*GAMES*/[]": _json([game(load_agent(name)) for name in AGENTS]),
        "/*MAZE*/\n": (HERE / "maze.js").read_text(encoding="utf-8"),
        "/*MAZES*/{}": _json(recorded()),
    }.items():
        assert page.count(place) == 1, place
        page = page.replace(place, text)
    out.write_text(page, encoding="utf-8")
    return out


def game(agent: Agent) -> dict[str, Any]:
    """What the page needs of an agent, and the Gittins index for its bandit.

    :raises ValueError: a network that the page's code does not compute
    """
    policy, pulls = agent.policy, agent.info["episodes"]
    core, features = policy.mlp_extractor.policy, policy.pi_features_extractor
    memory = core.memory
    plain = isinstance(memory, GRU) and memory.candidate == "tanh" and not len(core.before)
    ours = type(features) is TrialFeatures and features.keys == SEEN and not features.state_action
    if not plain or not ours or core.skip or policy.config.normalize_observations:
        raise ValueError(f"{policy.config}: the page computes a GRU and layers after it alone.")
    assert isinstance(memory, GRU)
    assert isinstance(features, TrialFeatures)
    parts: dict[str, th.Tensor] = {"input": memory.weight_ih, "recurrent": memory.weight_hh}
    parts["bias"] = memory.bias
    for i, layer in enumerate(each for each in core.after if isinstance(each, nn.Linear)):
        parts |= {f"after{i}": layer.weight, f"after_bias{i}": layer.bias}
    assert isinstance(policy.action_net, nn.Linear)
    parts |= {"head": policy.action_net.weight, "head_bias": policy.action_net.bias}
    return {
        "arms": agent.info["options"]["arms"],
        "pulls": pulls,
        "action_reward": features.action_reward,
        "gittins": _rows(gittins_table(pulls, 1 - 1 / pulls)),
        "shapes": [[name, *_matrix(part).shape] for name, part in parts.items()],
        "weights": _base64(list(parts.values())),
    }


def _json(told: Any) -> str:
    return json.dumps(told, separators=(",", ":"))


def _rows(table: np.ndarray[Any, Any]) -> list[list[float]]:
    """Each row up to its first NaN, with five digits."""
    return [[round(float(index), 5) for index in row[np.isfinite(row)]] for row in table]


def _matrix(part: th.Tensor) -> th.Tensor:
    """A bias as one column."""
    return part.detach().reshape(len(part), -1)


def _base64(parts: list[th.Tensor]) -> str:
    """Little-endian fp32, one after the other."""
    numbers = th.cat([_matrix(part).flatten() for part in parts]).cpu().numpy()
    return base64.b64encode(numbers.astype("<f4").tobytes()).decode("ascii")


if __name__ == "__main__":
    if find_spec("rl2_vizdoom") and "--keep-mazes" not in sys.argv:
        print(record())
    print(build())
