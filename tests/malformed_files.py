"""Malformed sweep files, agents' files and checkpoints, for :mod:`tests.malformed`."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
import yaml
from jsonschema import Draft7Validator
from safetensors import safe_open
from safetensors.torch import save_file

from rl2_sb3 import RL2PPO, RL2TRPO, load_agent, make_trials
from rl2_sb3.algorithms.transfer import take_weights
from rl2_sb3.sweeps import load_sweep
from tests.malformed import Case
from tests.sweeps.files import GRID

NONSENSE = [
    *("", "~", "-1", "0", "1.5", "nan", ".nan", ".inf", "-.inf", "1e400", "true", "[]", "{}"),
    *("[[1]]", "{a: 1}", "!!python/object:os.system ls", "!x y", "*none", "&a [*a]", "2020-01-01"),
    *("'", '"', "\t", "0x", "9" * 400, "${env}", "../x", "é", "%", "- - -", "?", "<<", "|"),
]
"""Instead of a value in YAML."""
JSON: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    2**70,
    "",
    "x",
    [],
    {},
    [1],
    {"x": 1},
    [[]],
    "NaN",
]
WANDB = Path(__file__).parent / "data" / "wandb_sweep_schema.json"


def sweeps(rng: random.Random, folder: Path) -> list[Case]:
    """Sweep files with a line that is lost, doubled or nonsense, or bytes that are."""
    lines = GRID.splitlines()
    found = []
    for i in range(120):
        changed, at = list(lines), rng.randrange(len(lines))
        word = rng.choice(NONSENSE)
        kind = rng.choice(["value", "value", "value", "inner", "key", "twice", "cut", "bytes"])
        if kind == "value":
            changed[at] = f"{changed[at].partition(':')[0]}: {word}"
        elif kind == "inner":
            changed[at] = (
                changed[at]
                .replace("values:", f"values: {word} #")
                .replace("value:", f"value: {word} #")
            )
        elif kind == "key":
            changed[at] = f"{word}: {changed[at].partition(':')[2]}"
        elif kind == "twice":
            changed.insert(at, changed[at])
        elif kind == "cut":
            del changed[at]
        content = "\n".join(changed).encode()
        if kind == "bytes":
            content = content[: rng.randrange(len(content))] + rng.randbytes(5)
        path = folder / f"{i}.yaml"
        path.write_bytes(content)
        found.append(Case(f"{kind} {word!r} in {lines[at]!r}", partial(_sweep, path), True))
    return found


def _sweep(path: Path) -> None:
    """What is accepted W&B accepts, too, and it stays within the folder."""
    sweep = load_sweep(path)
    schema = Draft7Validator(json.loads(WANDB.read_text()))
    if not schema.is_valid(yaml.safe_load(path.read_text())):
        raise AssertionError("W&B refuses it")
    assert "/" not in sweep.name


def agents(rng: random.Random, folder: Path) -> list[Case]:
    """Agents' files with another description, other tensors, or bytes that are damaged."""
    model = RL2PPO("GRUPolicy", make_trials("bandit", 4, 3, seed=0, arms=3), seed=0)
    whole = folder / "whole.safetensors"
    model.save_agent(whole, task="bandit", options={"arms": 3})
    with safe_open(whole, "pt") as file:
        description = json.loads(file.metadata()["rl2_sb3"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    found = []
    for i in range(130):
        path = folder / f"{i}.safetensors"
        kind = rng.choice(["description", "description", "network", "space", "tensor", "bytes"])
        name, may_pass = _damage_agent(rng, kind, path, whole, description, tensors)
        found.append(Case(f"{kind}: {name}", partial(_agent, path), may_pass))
    return found


def _damage_agent(
    rng: random.Random, kind: str, path: Path, whole: Path, description: Any, tensors: Any
) -> tuple[str, bool]:
    """Write a damaged file; gives what was done, and whether it may be whole nevertheless."""
    told, parts = json.loads(json.dumps(description)), dict(tensors)
    value, may_pass = rng.choice(JSON), True
    if kind == "bytes":
        content = bytearray(whole.read_bytes())
        at, end = rng.randrange(len(content)), rng.choice([None, rng.randrange(len(content))])
        content[at : at + 4] = rng.randbytes(4)
        path.write_bytes(content[:end])
        return f"at {at}, cut at {end}", True
    if kind == "tensor":
        key = rng.choice(sorted(parts))
        change = rng.choice(list(TENSORS))
        parts[key] = TENSORS[change](parts[key])
        name, may_pass = f"{key} {change}", False
    elif kind == "space":
        key = rng.choice(["observation_space", "action_space"])
        spaces = [{"Discrete": value}, {"Box": [0, 1, value, "float32"]}, {"Dict": value}, value]
        spaces += [{"Box": [value, value, [3], "float32"]}, {"Discrete": 10**12}, {"Tuple": []}]
        told[key] = rng.choice(spaces)
        name, may_pass = f"{key} = {told[key]}", False
    else:
        part = told if kind == "description" else told["network"]
        key = rng.choice(sorted(part))
        if rng.random() < 0.3:
            value = part.pop(key)
            name = f"without {key}"
        else:
            part[key] = value
            name = f"{key} = {value!r}"
    save_file(parts, path, metadata={"rl2_sb3": json.dumps(told)})
    return name, may_pass


TENSORS: dict[str, Callable[[th.Tensor], th.Tensor]] = {
    "NaN": lambda tensor: tensor * float("nan"),
    "infinite": lambda tensor: tensor + float("inf"),
    "int64": lambda tensor: tensor.long(),
    "float64": lambda tensor: tensor.double(),
    "float16": lambda tensor: tensor.half(),
    "longer": lambda tensor: th.cat([tensor, tensor]),
    "flat": lambda tensor: tensor.flatten()[:1].clone(),
    "empty": lambda tensor: tensor[:0].clone(),
}


def _agent(path: Path) -> None:
    """What is accepted acts, and serves as a beginning."""
    agent = load_agent(path)
    agent.reset()
    for _ in range(3):
        agent.act(0)
        agent.observe(1.0, True)
    take_weights(RL2PPO("GRUPolicy", make_trials("bandit", 4, 3, arms=3)), path)


def checkpoints(rng: random.Random, folder: Path) -> list[Case]:
    """Checkpoints that are cut, of another algorithm, or without one of their parts."""
    trials = make_trials("bandit", 4, 3, seed=0, arms=3)
    whole, other = folder / "whole.zip", folder / "other.zip"
    RL2PPO("GRUPolicy", trials, seed=0).save(whole)
    RL2TRPO("GRUPolicy", trials, seed=0).save(other)
    found = []
    with zipfile.ZipFile(whole) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    for i in range(60):
        path = folder / f"{i}.zip"
        kind = rng.choice(
            ["cut", "bytes", "without", "emptied", "entry", "tensor", "text", "other"]
        )
        name = ""
        if kind in ("cut", "bytes"):
            content = bytearray(whole.read_bytes())
            at = rng.randrange(len(content) - 8)
            if kind == "cut":
                content = content[:at]
            else:
                content[at : at + 8] = rng.randbytes(8)
            path.write_bytes(content)
            name = str(at)
        elif kind == "text":
            path.write_text("no checkpoint")
        elif kind == "other":
            path.write_bytes(other.read_bytes())
        else:
            name = _write_zip(rng, kind, path, parts)
        found.append(Case(f"{kind} {name}", partial(_checkpoint, path), kind == "bytes"))
    return found


NEEDED = ("data", "policy.pth", "policy.optimizer.pth")


def _write_zip(rng: random.Random, kind: str, path: Path, parts: dict[str, bytes]) -> str:
    content, key = dict(parts), rng.choice(NEEDED)
    if kind == "without":
        del content[key]
    elif kind == "emptied":
        content[key] = b""
    elif kind == "entry":
        data = json.loads(content["data"])
        key = rng.choice(
            ["resume_state", "observation_space", "policy_kwargs", "n_envs", "n_steps"]
        )
        if rng.random() < 0.4:
            del data[key]
        else:
            data[key] = rng.choice(JSON[:-1])
            content["data"] = json.dumps(data).encode()
            key += f" = {data[key]!r}"
        content["data"] = json.dumps(data).encode()
    else:
        state = th.load(io.BytesIO(content["policy.pth"]))
        key = rng.choice([name for name, part in state.items() if part.numel() > 1])
        change = rng.choice(["NaN", "longer", "empty"])
        state[key] = TENSORS[change](state[key])
        stream = io.BytesIO()
        th.save(state, stream)
        content["policy.pth"] = stream.getvalue()
        key += f" {change}"
    with zipfile.ZipFile(path, "w") as file:
        for name, part in content.items():
            file.writestr(name, part)
    return key


def _checkpoint(path: Path) -> None:
    """What is accepted goes on."""
    model = RL2PPO.load(path, make_trials("bandit", 4, 3, seed=0, arms=3), force_reset=False)
    assert np.isfinite(model.policy.value_scale.item())
    model.learn(12, reset_num_timesteps=False)
