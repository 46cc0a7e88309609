"""Agents' files that are damaged or a stranger's nonsense are refused before anything is built."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch as th
from safetensors import safe_open
from safetensors.torch import save_file

from rl2_sb3 import RL2PPO, load_agent, make_trials
from rl2_sb3.agent_file import POLICIES
from rl2_sb3.algorithms.transfer import take_weights

Change = Callable[[dict[str, Any], dict[str, th.Tensor]], Any]
WEIGHT = "mlp_extractor.policy.memory.weight_hh"


def model() -> RL2PPO:
    env = make_trials("bandit", 2, 3, seed=0, arms=3)
    return RL2PPO("GRUPolicy", env, seed=0, policy_kwargs={"hidden_size": 4})


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Change], Path]:
    """Writes an agent's file with another description or other tensors."""
    path = tmp_path / "a.safetensors"
    model().save_agent(path, task="bandit", options={"arms": 3})

    def write(change: Change) -> Path:
        with safe_open(path, "pt") as file:
            told = json.loads(file.metadata()["rl2_sb3"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        change(told, tensors)
        save_file(tensors, path, metadata={"rl2_sb3": json.dumps(told)})
        return path

    return write


def network(**options: Any) -> Change:
    return lambda told, tensors: told["network"].update(options)


def tensor(change: Callable[[th.Tensor], th.Tensor], key: str = WEIGHT) -> Change:
    return lambda told, tensors: tensors.update({key: change(tensors[key])})


def part(**parts: Any) -> Change:
    return lambda told, tensors: told.update(parts)


def info(**entries: Any) -> Change:
    return lambda told, tensors: told["info"].update(entries)


def observed(**spaces: Any) -> Change:
    return lambda told, tensors: told["observation_space"]["Dict"].update(spaces)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (part(format="2"), "its format is '2', no whole number"),
        (part(format=True), "its format is True"),
        (part(format=0), "its format is 0"),
        (part(format=99), "it has format 99, .* update it"),
        (part(format=1, network={}), "features_extractor_kwargs"),
        (part(policy="GruPolicy"), "No policy 'GruPolicy'. Did you mean 'GRUPolicy'"),
        (part(policy=None), "its 'policy' is None, no str"),
        (part(network=[]), r"its 'network' is \[\], no dict"),
        (part(info=None), "its 'info' is None"),
        (part(activation="os:system"), "is of Python's own library"),
        (part(features_extractor="nothing:Here"), "There is no 'nothing:Here' here"),
        (part(features_extractor=3), "'int' object has no attribute"),
        (part(activation="Threshold"), "the activation 'Threshold' takes options"),
        (part(activation="Module"), "'Module' is no activation"),
        (network(hidden_size="4"), "its option hidden_size='4' is of a wrong type"),
        (network(hidden_size=4.0), r"its option hidden_size=4\.0 is of a wrong type"),
        (network(hidden_size=10**9), "its hidden_size is 1000000000: from 1 to"),
        (network(hidden_size=60_000), r"has the shape \[12, \d+\], the network \[180000, \d+\]"),
        (network(hidden_size=0), "its hidden_size is 0"),
        (network(layers_before=[3] * 101), "its layers_before are .* up to 100"),
        (network(layers_after=[10**9]), "its layers_after are"),
        (network(layers_after=[6]), "does not hold the network that it describes"),
        (network(layers_after=3), "its option layers_after=3 is of a wrong type"),
        (network(memory="nothing"), "No memory 'nothing'"),
        (network(memory=[]), r"its option memory=\[\] is of a wrong type"),
        (network(memory_kwargs={"x": 1}), "memory_kwargs"),
        (network(memory_steps=1), "memory_steps=1"),
        (network(candidate="sine"), "its option candidate='sine' is of a wrong type"),
        (network(skip="yes"), "its option skip='yes' is of a wrong type"),
        (network(prediction_coef=float("nan")), "its option prediction_coef=nan"),
        (network(size=3), "it has an option 'size'"),
        (network(normalize_images=1), "normalize_images=1"),
        (network(features_extractor_kwargs={"x": 1}), "it has an option 'x'"),
        (network(features_extractor_kwargs=None), "features_extractor_kwargs=None"),
        (tensor(lambda x: x.long()), "is of I64, the network of F32"),
        (tensor(lambda x: x.double()), "is of F64, the network of F32"),
        (tensor(lambda x: x * float("nan")), "not finite"),
        (tensor(lambda x: x + float("inf"), "action_net.bias"), "action_net.bias .* not finite"),
        (tensor(lambda x: x[:1]), r"has the shape \[1, 4\], the network \[12, 4\]"),
        (lambda told, tensors: tensors.pop(WEIGHT), f"that it describes: {WEIGHT}"),
        (lambda told, tensors: tensors.update(more=th.zeros(1)), "that it describes: more"),
        (part(action_space={"Discrete": 4}), "its observation's 'action' is Discrete"),
        (part(action_space={"Discrete": 10**12}), "no space is 'Discrete' of 1000000000000"),
        (part(action_space={"Discrete": True}), "no space is 'Discrete' of True"),
        (part(action_space={"Discrete": 3, "Box": 3}), "a space is one kind and its content"),
        (part(action_space={"Tuple": []}), "no space is 'Tuple'"),
        (part(action_space={}), "a space is one kind and its content"),
        (part(action_space={"MultiDiscrete": [0]}), "no space is 'MultiDiscrete'"),
        (part(observation_space={"Dict": {}}), "no space is 'Dict'"),
        (part(observation_space={"Discrete": 3}), "is not that of trials"),
        (observed(observation={"Box": [0, 1, [10**9], "float32"]}), "no Box has the shape"),
        (observed(observation={"Box": [0, 1, [1] * 33, "float32"]}), "no Box has the shape"),
        (observed(observation={"Box": [0, 1, [9] * 9, "float32"]}), "no Box has the shape"),
        (observed(observation={"Box": [0, 1, [3], "object"]}), "no Box has .* type 'object'"),
        (observed(observation={"Box": [1, 0, [3], "float32"]}), "a Box is from 1 to 0"),
        (observed(observation={"Box": [[0], 1, [2, 2], "x"]}), "the type 'x'"),
        (observed(observation={"Box": [[0, 0], 1, [3], "float32"]}), "a Box has the bounds"),
        (observed(observation={"Box": [float("nan"), 1, [3], "float32"]}), "a Box is from nan"),
        (observed(observation={"Discrete": 7}), "has the shape .*, the network"),
        (observed(reward={"Discrete": 2}), "its observation's 'reward' is Discrete"),
        (info(steps="many"), "its info has steps='many'"),
        (info(seconds=float("inf")), "its info has seconds=inf"),
        (info(episodes=-1), "its info has episodes=-1"),
        (info(options=[]), r"its info has options=\[\]"),
        (info(history=[{}]), r"its info has history=\[\{\}\]"),
    ],
)
def test_what_is_no_agent_is_refused(
    change: Change, message: str, changed: Callable[[Change], Path]
) -> None:
    path = changed(change)
    with pytest.raises(ValueError, match=message) as raised:
        load_agent(path)
    assert str(path) in str(raised.value)


def test_what_is_refused_is_not_built(
    changed: Callable[[Change], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network of 40 GB: its shapes are compared without its numbers."""
    path = changed(network(hidden_size=60_000))
    devices: set[str] = set()
    load = POLICIES["GRUPolicy"]._build

    def built(self: Any, *args: Any) -> None:
        load(self, *args)
        devices.update(parameter.device.type for parameter in self.parameters())

    monkeypatch.setattr(POLICIES["GRUPolicy"], "_build", built)
    with pytest.raises(ValueError, match="has the shape"):
        load_agent(path)
    assert devices == {"meta"}


@pytest.mark.parametrize("change", [lambda x: x * float("nan"), lambda x: x.long()])
def test_damaged_weights_are_no_beginning(change: Any, changed: Callable[[Change], Path]) -> None:
    path = changed(tensor(change))
    with pytest.raises(ValueError, match=r"not finite|is of torch\.int64"):
        take_weights(model(), path)


def test_paths_that_no_system_takes_are_refused() -> None:
    for name in ("x" * 5000, "x" * 5000 + ".safetensors", "a\0b"):
        with pytest.raises(ValueError, match=r"No agent|no run or agent's file"):
            load_agent(name)
