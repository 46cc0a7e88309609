"""Weights from one agent to another, which may have more actions."""

from __future__ import annotations

import json
import os
import pickle
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch as th
from gymnasium import spaces

from rl2_sb3.agent_file import agent_file, agent_tensors, describe_agent, is_acting
from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.algorithms.unpickling import attributes
from rl2_sb3.memories import Memory
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.policies.earlier import present_names
from rl2_sb3.policies.features import TrialFeatures

DAMAGED = (ValueError, KeyError, EOFError, RuntimeError, pickle.UnpicklingError)
History = tuple[dict[str, Any], ...]
HEAD = ("action_net.weight", "action_net.bias")
ONCE = ("prediction_net.weight", "prediction_net.bias")
"""What a policy may do without that goes on from one that has it."""
STATISTICS = "statistics."
"""Where a policy keeps what it normalises observations by."""
SIGNALS = ("teacher", "privileged")
"""What a run learned from."""


class Beginning(NamedTuple):
    """What another run, or an agent's file, has to begin with."""

    state: dict[str, th.Tensor]
    """Of its policy, under the names of this version."""
    history: History
    """The runs that it comes from, itself the last."""
    network: Mapping[str, Any]
    """Its policy's options, as far as they are known."""
    task: str
    """What it was trained on, with options, or nothing where that is not known."""


def take_weights(model: RL2PPO | RL2TRPO, run: Path) -> None:
    """Begin with the policy of another run, and with its value network where that fits.

    A value network that sees what the other did not (``privileged``) begins anew, as does that of
    a policy which comes from an agent's file. Where there are more actions now than then, the
    policy takes them on, see :func:`more_actions`. A longer window takes on a shorter one's.

    :param run: its folder, or an agent's file or registered name
    :raises ValueError: none there, or one of another network
    """
    of_a_run = os.path.exists(run / "checkpoint.zip")
    beginning = (_from_run if of_a_run else _from_agent)(run, model.device)
    theirs, model.history = beginning.state, beginning.history
    options = _different_options(model.policy, beginning)
    ours = model.policy.state_dict()
    theirs = {key: value for key, value in theirs.items() if key in ours or key not in ONCE}
    actions = _actions(theirs)
    if isinstance(model.action_space, spaces.Discrete) and 0 < actions < model.action_space.n:
        acting = {key: value for key, value in theirs.items() if is_acting(key)}
        theirs = more_actions(acting, model.policy, actions)
    memories = [each for each in model.policy.named_modules() if isinstance(each[1], Memory)]
    for changed in sorted({memory.fit_weights(theirs, f"{name}.") for name, memory in memories}):
        if changed:
            print(f"Note: {changed}, beyond that of {run}.", file=sys.stderr)
    for key in ours.keys() & theirs.keys():
        if ours[key].dtype != theirs[key].dtype:
            raise _other_network(run, options, f"{key} is of {theirs[key].dtype}")
    if any(key in ours and ours[key].shape != theirs[key].shape for key in theirs):
        theirs = {key: value for key, value in theirs.items() if is_acting(key)}
    try:
        missing, unexpected = model.policy.load_state_dict(theirs, strict=False)
    except RuntimeError as error:
        if _actions(ours) != _actions(theirs) or (
            not options and _is_known(beginning, model.policy)
        ):
            raise _other_spaces(run, beginning) from error
        raise _other_network(run, options, str(error)) from error
    lacking = list(filter(is_acting, missing))
    if unexpected or lacking:
        only = ", ".join([*unexpected, *lacking])
        raise _other_network(run, options, f"{only} in one of them only")


def _from_run(run: Path, device: th.device) -> Beginning:
    """The state of a run's policy, and the run in its history; nothing is unpickled.

    :raises ValueError: files that are damaged
    """
    checkpoint = run / "checkpoint.zip"
    data = attributes(checkpoint)
    try:
        told = {"run": str(run), "steps": data["num_timesteps"]}
        told |= {"seconds": data.get("seconds", 0.0), "episodes": data["episodes"]}
        config = json.loads((run / "config.json").read_text())
        told |= {key: config[key] for key in SIGNALS if config.get(key)}
        with zipfile.ZipFile(checkpoint) as archive, archive.open("policy.pth") as file:
            state = th.load(file, map_location=device, weights_only=True)
        return Beginning(
            present_names(state), (*data.get("history", ()), told), config, _task(config)
        )
    except (*DAMAGED, OSError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{run} holds no whole run ({type(error).__name__}: {error}): give --init its "
            "agent.safetensors, or another run."
        ) from error


def _from_agent(name: Path, device: th.device) -> Beginning:
    """The same of an agent's file, which has the acting part alone."""
    description = describe_agent(name)
    info = description["info"]
    before = info.get("history", [])
    told = {"run": str(name)}
    for of in ("steps", "seconds"):  # the file has those of all runs together
        told[of] = info.get(of, 0) - sum(run[of] for run in before)
    told |= {key: info[key] for key in ("episodes", *SIGNALS) if key in info}
    state = agent_tensors(agent_file(name), device)
    return Beginning(state, (*before, told), description["network"], _task(info))


def _actions(state: Mapping[str, th.Tensor]) -> int:
    """How many actions a policy's head is for; 0 for one that is the same for all of them."""
    return len(state.get("action_net.bias", ()))


def _task(info: Mapping[str, Any]) -> str:
    if info.get("task") is None:
        return ""
    options = info.get("options") or {}
    return " ".join([str(info["task"]), *(f"{name}={value}" for name, value in options.items())])


def _different_options(policy: GRUPolicy, beginning: Beginning) -> list[str]:
    """The options of another policy that this one was not given, as the command line has them."""
    theirs = dict(beginning.network)
    theirs["normalize_observations"] = any(key.startswith(STATISTICS) for key in beginning.state)
    flags = []
    for name, ours in asdict(policy.config).items():
        value = theirs.get(name)
        value = tuple(value) if isinstance(value, list) else value
        if value is None or value == ours:
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
            continue
        each = [f"{k}={v!r}" for k, v in value.items()] if isinstance(value, dict) else [value]
        words = each if not isinstance(value, tuple) else value
        flags.append(" ".join([f"--{flag}", *map(str, words)]))
    return flags


def _other_network(run: Path, options: list[str], difference: str) -> ValueError:
    told = f": {' '.join(options)}" if options else f" ({' '.join(difference.split())})"
    return ValueError(
        f"{run} has another network. Give the options that it was trained with{told}."
    )


def _is_known(beginning: Beginning, policy: GRUPolicy) -> bool:
    """Whether all is known that a network depends on but spaces, features' options being ours."""
    network, features = beginning.network, "features_extractor_kwargs"
    ours = policy.features_extractor_kwargs
    return "hidden_size" in network and network.get(features, ours) == ours


def _other_spaces(run: Path, beginning: Beginning) -> ValueError:
    task = beginning.task and f" on {beginning.task},"
    return ValueError(
        f"{run} was trained{task} with other observations or actions. --init takes an agent with "
        "the same observations, and with the same actions or fewer discrete ones."
    )


def more_actions(
    weights: dict[str, th.Tensor], policy: GRUPolicy, actions: int
) -> dict[str, th.Tensor]:
    """The weights of a policy for fewer actions, in the shape of one for more.

    What is known of an old action stays. A new one enters no unit at first, and gets the mean of
    the old ones' logits: it is as likely as they are where the policy tells none of them apart, and
    unlikely where it has made up its mind.

    :param weights: the acting part of the old policy's state
    :param policy: for the new actions
    :param actions: how many of them are old
    :return: the acting part of the new policy's state
    :raises ValueError: policies that differ in more than the number of discrete actions
    """
    new, network = policy.action_space, policy.config
    features = policy.features_extractor
    first = "before.0.weight" if network.layers_before else "memory.weight_ih"
    inputs = f"mlp_extractor.policy.{first}"
    if (
        not isinstance(new, spaces.Discrete)
        or not isinstance(features, TrialFeatures)
        or network.weight_norm
        or network.skip
        or features.state_action
        or inputs not in weights
        or new.n < actions
    ):
        raise ValueError(
            f"A policy for {actions} actions cannot become one for {new}: more discrete actions, "
            "with a GRU or an LSTM, without images, weight_norm, skip and state_action, are what "
            "it can take on."
        )
    old = weights[inputs]
    parts = {
        name: (
            part.start,
            actions if name in ("action", "action_reward") else part.stop - part.start,
        )
        for name, part in features.columns().items()
    }
    if sum(width for _, width in parts.values()) != old.shape[1]:
        raise ValueError("The two tasks differ in more than their number of actions.")
    columns, begin = th.zeros(len(old), features.features_dim), 0
    for start, width in parts.values():
        columns[:, start : start + width] = old[:, begin : begin + width]
        begin += width
    grown = {**weights, inputs: columns}
    for name in HEAD:
        rows = weights[name]
        grown[name] = th.cat(
            [rows, rows.mean(dim=0, keepdim=True).expand(int(new.n) - actions, *rows.shape[1:])]
        )
    return grown
