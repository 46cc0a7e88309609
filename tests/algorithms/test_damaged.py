"""Checkpoints that are damaged are refused, with their path."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch as th

from rl2_sb3 import RL2PPO, make_trials

Change = Callable[[dict[str, bytes]], Any]


def trials() -> Any:
    return make_trials("bandit", 2, 3, seed=0, arms=3)


def attribute(name: str, value: Any) -> Change:
    def change(parts: dict[str, bytes]) -> None:
        data = json.loads(parts["data"])
        data[name] = value
        if value is None:
            del data[name]
        parts["data"] = json.dumps(data).encode()

    return change


def longer(parts: dict[str, bytes]) -> None:
    state = th.load(io.BytesIO(parts["policy.pth"]))
    state["action_net.bias"] = th.zeros(7)
    stream = io.BytesIO()
    th.save(state, stream)
    parts["policy.pth"] = stream.getvalue()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: parts.pop("data"), "it holds no trials"),
        (lambda parts: parts.update(data=b""), "or a damaged one"),
        (lambda parts: parts.update(data=b"[]"), "damaged"),
        (lambda parts: parts.pop("policy.pth"), "Names of parameters do not match"),
        (lambda parts: parts.pop("policy.optimizer.pth"), "a damaged checkpoint: KeyError"),
        (lambda parts: parts.update({"policy.pth": b""}), "or a damaged one"),
        (longer, "a damaged checkpoint: RuntimeError: Error.*"),
        (attribute("resume_state", "x"), "it holds no trials"),
        (attribute("resume_state", {}), "is a checkpoint of None"),
        (attribute("n_envs", None), "it has no n_envs"),
        (attribute("observation_space", None), "it has no observation_space"),
        (attribute("policy_kwargs", 3), "3 for a policy"),
    ],
)
def test_a_damaged_checkpoint_is_refused(change: Change, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    RL2PPO("GRUPolicy", trials(), policy_kwargs={"hidden_size": 4}).save(path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    with pytest.raises(ValueError, match=message) as raised:
        RL2PPO.load(path, trials(), force_reset=False)
    assert str(path) in str(raised.value)


def test_an_agents_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "agent.safetensors"
    RL2PPO("GRUPolicy", trials(), policy_kwargs={"hidden_size": 4}).save_agent(path)
    with pytest.raises(ValueError, match="is an agent's file, no checkpoint: use load_agent"):
        RL2PPO.load(path)
