"""Agents that leave Python: one step of the acting network as an ONNX model.

The model's inputs are the parts of a trial's observation and ``memory``; its outputs what the
action is drawn from and ``next_memory``. Axis 0 of all is the trial. What is known of the agent is
JSON in the model's metadata, under ``rl2_sb3``.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy

from rl2_sb3.agent import Agent
from rl2_sb3.agent_checks import space_to_json
from rl2_sb3.files import replace_whole
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.signals import learned_from, training
from rl2_sb3.trials.spaces import no_action

OPSET = 18
"""Of ONNX's operators; ONNX Runtime and ONNX Runtime Web take it."""
NEEDED = ("onnx", "onnxscript")
MEMORY, NEXT_MEMORY = "memory", "next_memory"


def export_agent(agent: Agent, path: str | os.PathLike[str]) -> Path:
    """Write one step of an agent's acting network as an ONNX model.

    Products are fp32, of agents that were trained with bf16 products as well.

    :param agent: it stays as it is
    :param path: of the model
    :return: the path
    :raises RuntimeError: what torch exports with is not installed
    :raises ValueError: a network that torch's exporter does not take
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise RuntimeError(f"{' and '.join(missing)} not installed: `pip install 'rl2-sb3[onnx]'`.")
    policy = with_fp32_products(agent.policy)
    step = Step(policy)
    try:
        model = _model(step, trials=None)
        if model.graph.input[0].type.tensor_type.shape.dim[0].dim_value:  # the network fixed it
            model = _model(step, trials=1)
    except Exception as error:  # torch's exporter raises what it meets
        memory, features = policy.config.memory, type(policy.pi_features_extractor).__name__
        raise ValueError(
            f"torch's exporter does not take this agent's network (memory {memory!r}, features "
            f"{features}). It refuses autograd functions, writes in place, and choices by numbers: "
            "`if torch.onnx.is_in_onnx_export()` may do without. It says: " + _cause(error)
        ) from error
    model.metadata_props.add(key="rl2_sb3", value=json.dumps(describe(agent), allow_nan=False))
    content = model.SerializeToString()
    replace_whole(Path(path), lambda file: file.write(content))
    return Path(path)


def _model(step: Step, trials: int | None) -> Any:
    """The ONNX model of a step of so many trials; ``None`` for any number."""
    inputs = first_inputs(step.policy)
    if trials is None:  # an example of one would be taken for a constant
        inputs = {key: th.cat([part, part]) for key, part in inputs.items()}
    rows = {key: {0: th.export.Dim("trials")} for key in inputs}
    with _quietly(), th.no_grad():
        program = th.onnx.export(
            step,
            kwargs={"inputs": inputs},
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[*step.outputs, NEXT_MEMORY],
            dynamic_shapes={"inputs": rows} if trials is None else None,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


class Step(th.nn.Module):
    """One step of a policy: from a trial's observation and memory to what actions are drawn from.

    :raises ValueError: a policy that makes its distribution otherwise than SB3's
    """

    def __init__(self, policy: GRUPolicy):
        super().__init__()
        theirs = type(policy)._get_action_dist_from_latent
        if theirs is not ActorCriticPolicy._get_action_dist_from_latent:
            raise ValueError(
                f"{type(policy).__name__} has a distribution of actions of its own, which no "
                "export tells of: leave _get_action_dist_from_latent as it is."
            )
        self.policy = policy
        continuous = isinstance(policy.action_space, spaces.Box)
        self.outputs = ("mean", "std") if continuous else ("probabilities",)

    def forward(self, inputs: dict[str, th.Tensor]) -> tuple[th.Tensor, ...]:
        """The outputs by name, then the next memory; axis 0 the trial."""
        latents = self.policy.unroll(inputs, value=False)
        head = self.policy.action_net(latents.policy)
        space: Any = self.policy.action_space
        if isinstance(space, spaces.Box):
            return head, self.policy.log_std.exp().expand_as(head), latents.memory
        if isinstance(space, spaces.MultiBinary):
            return head.sigmoid(), latents.memory
        sizes = space.nvec.tolist() if isinstance(space, spaces.MultiDiscrete) else [space.n]
        parts = th.split(head, [int(size) for size in sizes], dim=1)
        return th.cat([part.softmax(dim=1) for part in parts], dim=1), latents.memory


def with_fp32_products(policy: GRUPolicy) -> GRUPolicy:
    """A copy of a policy, on the processor, that multiplies in fp32."""
    options = {**policy._get_constructor_parameters(), "precision": "fp32"}
    made = type(policy)(**copy.deepcopy(options))
    made.load_state_dict(policy.state_dict())
    made.set_training_mode(False)
    return made


def first_inputs(policy: GRUPolicy) -> dict[str, th.Tensor]:
    """The model's inputs at the start of one trial, the task's own observation zero."""
    assert isinstance(policy.observation_space, spaces.Dict)
    parts = {key: no_action(part)[None] for key, part in policy.observation_space.items()}
    inputs = {key: th.as_tensor(part) for key, part in parts.items()}
    inputs["start"] = th.ones_like(inputs["start"])
    return {**inputs, MEMORY: policy.initial_memory(1)}


def describe(agent: Agent) -> dict[str, Any]:
    """What the model's metadata say of an agent."""
    policy, info = agent.policy, agent.info
    return {
        "task": info.get("task"),
        "options": info.get("options", {}),
        "episodes": info.get("episodes"),
        "training": training(info),
        "learned_from": learned_from(info),
        "observation_space": _finite(space_to_json(policy.observation_space)),
        "action_space": _finite(space_to_json(policy.action_space)),
        "first_action": no_action(policy.action_space).tolist(),
        "memory_size": policy.memory_size,
        "trained_precision": policy.config.precision,
        "info": _finite(info),
    }


def _finite(value: Any) -> Any:
    """With ``null`` for numbers that JSON has not: infinite bounds are none."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cause(error: BaseException) -> str:
    """Of the error that was first: torch wraps it into pages."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's words on its own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
