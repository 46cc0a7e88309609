"""The keyword options of RL2PPO and RL2TRPO: those of :mod:`rl2_sb3.config`, and SB3's own."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3 import ranks
from rl2_sb3.algorithms.visits import check_countable
from rl2_sb3.config import LearningConfig, PolicyConfig, TRPOConfig
from rl2_sb3.options import flat_defaults
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.ranges import check_options
from rl2_sb3.registry import did_you_mean
from rl2_sb3.trials.sizes import rollout_size

OURS: dict[str, Any] = {"episodes": None, "threads": None, "batch_size": None}
"""Beside those of the configurations."""
_NO_SDE = (
    "actions are drawn anew in each step; policy_kwargs={'log_std_init': ...} says how widely at "
    "first, and the memory explores over a trial"
)
_OWN_BUFFER = "rollouts of trials carry their memory in a buffer of their own, TrialRolloutBuffer"
REFUSED = {
    "use_sde": _NO_SDE,
    "sde_sample_freq": _NO_SDE,
    "rollout_buffer_class": _OWN_BUFFER,
    "rollout_buffer_kwargs": _OWN_BUFFER,
    "sub_sampling_factor": "cg_share is the share of a rollout that the Fisher matrix is from",
}
"""What SB3 has and trials have no use for, and what there is instead."""
MARKED: dict[Callable[..., None], dict[str, Any]] = {}
"""Constructors that tell their options, and SB3's defaults of what they refuse."""
Init = TypeVar("Init", bound=Callable[..., None])


def takes(sb3: type[OnPolicyAlgorithm], *configs: type[Any]) -> Callable[[Init], Init]:
    """Give a constructor with ``**options`` a signature: for help, and to check what it is given.

    :param sb3: whose own parameters it takes as well
    :param configs: whose options it takes; their defaults go before SB3's
    """
    ours = dict(OURS)
    for config in configs:
        ours |= flat_defaults(config)
    theirs = inspect.signature(sb3).parameters
    defaults = {name: theirs[name].default for name in theirs if name not in ("policy", "env")}
    refused = {name: defaults.pop(name) for name in REFUSED if name in defaults}
    defaults |= ours

    def mark(init: Init) -> Init:
        *fixed, _ = inspect.signature(init).parameters.values()
        keywords = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
            for name, default in defaults.items()
        ]
        init.__signature__ = inspect.Signature([*fixed, *keywords])  # type: ignore[attr-defined]
        MARKED[init] = refused
        return init

    return mark


def complete(kind: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of an algorithm, checked; those that decay as schedules.

    What is given as a number stays, unless ``lr_decay`` or ``ent_decay`` say otherwise.

    :param kind: a class whose constructor, or that of a base, was marked by :func:`takes`
    :raises TypeError: an unknown option, or one of SB3's that trials have no use for
    :raises ValueError: out of range, or a schedule that is to decay
    """
    constructors = [vars(each)["__init__"] for each in kind.__mro__ if "__init__" in vars(each)]
    init = next(each for each in constructors if each in MARKED)
    parameters = inspect.signature(init).parameters
    known = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    usual = MARKED[init]
    options = {k: v for k, v in options.items() if k not in usual or v != usual[k]}
    for name in options:
        if name in REFUSED:
            raise TypeError(f"{kind.__name__} has no option {name!r}: {REFUSED[name]}.")
        if name not in known:
            shown = [each for each in known if not each.startswith("_")]
            hint = did_you_mean(name, shown) or (
                " Options of the task go into make_trials(...), those of the network into "
                "policy_kwargs."
            )
            raise TypeError(f"{kind.__name__} has no option {name!r}.{hint}")
    values = known | dict(options)
    for config in (LearningConfig, TRPOConfig):
        check_options(config, values)
    rate, entropy = values["learning_rate"], values["ent_coef"]
    lr_decay, ent_decay = values.pop("lr_decay"), values.pop("ent_decay")
    if _decays(options, "learning_rate", "lr_decay", lr_decay):
        values["learning_rate"] = LinearSchedule(rate, rate / 100, 1.0)
    if _decays(options, "ent_coef", "ent_decay", ent_decay):
        values["ent_coef"] = LinearSchedule(entropy, 0.0, 1.0)
    if values["visit_bonus"]:
        values["visit_bonus"] = LinearSchedule(values["visit_bonus"], 0.0, 1.0)
    return values


def _decays(options: Mapping[str, Any], name: str, switch: str, usual: bool) -> bool:
    decays = bool(options[switch]) if switch in options else usual and name not in options
    if decays and callable(options.get(name)):
        raise ValueError(f"{name} is a schedule already: leave {switch} out.")
    return decays


def policy_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """A policy's keyword arguments, with the defaults of :class:`PolicyConfig` all stated.

    So a checkpoint has them, whatever the defaults become.

    :raises ValueError: ``use_sde``, which SB3's policies have, or an option out of range
    """
    if "use_sde" in given:
        raise ValueError(f"No policy option 'use_sde': {REFUSED['use_sde']}.")
    check_options(PolicyConfig, given)
    return {**asdict(PolicyConfig()), **given}


def size_of_rollouts(trials: VecEnv | None, options: dict[str, Any]) -> tuple[int, int]:
    """Length of a rollout and steps of a minibatch; takes the latter's columns out of the options.

    :raises ValueError: a minibatch of both so many steps and so many columns, or a ``visit_bonus``
        where visits cannot be counted
    """
    n_steps, columns, batch_size = (
        options.get("n_steps"),
        options.pop("trials_per_batch"),
        options.pop("batch_size"),
    )
    if columns is not None and batch_size is not None:
        raise ValueError(
            f"trials_per_batch={columns}, batch_size={batch_size}: they are the same thing in "
            "columns and in steps. Give one."
        )
    if columns is not None:
        n_steps, _ = rollout_size(trials, n_steps, None)
        batch_size = columns * n_steps
    n_steps, batch_size = rollout_size(trials, n_steps, batch_size)
    if options["visit_bonus"]:
        check_countable(trials, n_steps)
    return n_steps, batch_size


def settle_normalisation(policy: GRUPolicy, policy_kwargs: dict[str, Any]) -> None:
    """Print a note where observations are normalised by default, and state the option."""
    settled = policy.config.normalize_observations
    told = policy_kwargs.get("normalize_observations") is not None
    if settled and not told and ranks.is_first():
        print(
            "Note: the observation is unbounded, so it is normalised by its running mean and "
            "standard deviation (normalize_observations=False, --no-normalize-observations turn "
            "this off).",
            file=sys.stderr,
        )
    policy_kwargs["normalize_observations"] = settled
