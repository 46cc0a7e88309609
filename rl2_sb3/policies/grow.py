"""Carrying a policy over to a task with more actions."""

from __future__ import annotations

import torch as th
from gymnasium import spaces

from rl2_sb3.policies.features import TrialFeatures
from rl2_sb3.policies.policies import GRUPolicy

HEAD = ("action_net.weight", "action_net.bias")


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
    new = policy.action_space
    features = policy.features_extractor
    if (
        not isinstance(new, spaces.Discrete)
        or not isinstance(features, TrialFeatures)
        or policy.network["weight_norm"]
        or new.n < actions
    ):
        raise ValueError(
            f"A policy for {actions} actions cannot become one for {new}: more discrete actions, "
            "without images and weight_norm, are what it can take on."
        )
    first = "before.0.weight" if policy.network["layers_before"] else "gru.weight_ih"
    inputs = f"mlp_extractor.policy.{first}"
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
