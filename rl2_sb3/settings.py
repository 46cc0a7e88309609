"""What determines a run: the options of ``rl2 train``, and those that ``rl2 imitate`` shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from rl2_sb3.config import Candidate, Precision
from rl2_sb3.trials.make import Workers


def whole(text: str) -> int:
    """A whole number, written as 1000000, 1_000_000 or 1e6."""
    number = float(text)
    if not number.is_integer():
        raise ValueError(f"{text} is not a whole number")
    return int(number)


Whole = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda words: whole(words[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""For steps, which people write as 1e6."""


@dataclass(kw_only=True)
class Setting:
    """What is learned, and by which network."""

    task: tyro.conf.Positional[str]
    """A task distribution's name, or a Gymnasium id."""
    episodes: int = 10
    """Episodes per trial."""
    seed: int = 0
    """Of tasks, noise, initial weights and actions."""
    device: str = "auto"
    """cpu, cuda, or auto."""
    threads: int | None = None
    """Processor threads; by default one for small networks and minibatches; with convolutions, or
    from 256 units and 64 columns a minibatch on, as many as pay, at most 8."""
    policy: Literal["GRUPolicy", "CnnGRUPolicy"] = "GRUPolicy"
    """CnnGRUPolicy is for images."""
    hidden_size: int = 64
    """Units of the GRU."""
    candidate: Candidate = "tanh"
    """Activation of the GRU's candidate state."""
    shared: bool = False
    """One network for policy and value."""
    value_network: Literal["gru", "sums"] = "gru"
    """A GRU like the policy's, or layers over sums of what the trial has shown: cheaper, and sooner
    right for bandits."""
    weight_norm: bool = False
    """Weight normalisation."""
    episode_units: int = 0
    """So many units are reset at each episode's start as well."""
    precision: Precision = "fp32"
    """Of the products. bf16 is faster for large networks where the processor has its arithmetic."""
    layers_after: tuple[int, ...] = ()
    """Widths of the dense layers between the GRU and the heads."""
    skip: bool = False
    """Let those layers see the features too: the present step can choose what to read from the
    memory."""
    memory_steps: int = 0
    """Begin with units that remember over 2 to so many steps, such as a trial's length; by default
    all forget half at each step."""
    action_reward: bool = True
    """Feed the product of the last action and its reward as well (not with images)."""
    state_action: bool = False
    """Remember the last observation, and feed its product with the last action as well, alone and
    times the reward: for small MDPs."""

    def network(self) -> dict[str, Any]:
        """The policy's keyword arguments."""
        names = (
            *("hidden_size", "candidate", "shared", "value_network", "weight_norm"),
            *("episode_units", "precision", "skip", "memory_steps"),
        )
        kwargs: dict[str, Any] = {name: getattr(self, name) for name in names}
        kwargs["layers_after"] = list(self.layers_after)
        products = {"action_reward": self.action_reward, "state_action": self.state_action}
        if self.policy == "GRUPolicy":
            kwargs["features_extractor_kwargs"] = products
        elif self.state_action:
            raise ValueError(
                f"--state-action is for small MDPs: {self.policy} has no such products."
            )
        return kwargs


@dataclass(kw_only=True)
class Run(Setting):
    """What determines a run; its folder keeps it as ``config.json``."""

    steps: Whole = 1_000_000
    """Environment steps to train for, over all trials."""
    n_envs: int | None = None
    """Trials that run at once, columns of a rollout; by default 500 for arrays, else 8."""
    steps_per_rollout: int | None = None
    """Choose n_envs so that a rollout has about so many steps, where trials have one length."""
    workers: Workers = "in-process"
    """Where Gymnasium environments run: in one thread, in threads (for simulators that do not need
    Python meanwhile), or each in a process."""
    algorithm: Literal["ppo", "trpo"] = "ppo"
    """RL2PPO, or RL2TRPO with the paper's first-order step."""
    learning_rate: float = 3e-3
    """Of Adam."""
    lr_decay: bool = True
    """Let the learning rate fall linearly to a hundredth over the run."""
    gamma: float = 1.0
    """Discount."""
    gae_lambda: float = 0.5
    """Of generalised advantage estimation."""
    value_lambda: float | None = None
    """The same for the returns that the value network learns from; by default --gae-lambda."""
    privileged: bool = False
    """Learn from what the task distribution tells in the reward's place, such as its expectation;
    a value network of its own (without --shared) sees what it tells of the task as well. The agent
    sees neither."""
    prediction_coef: float = 0.0
    """Weight of a loss by which the memory learns to predict what --privileged tasks tell: it is
    taught what to remember."""
    clip_range: float = 0.2
    """Of the surrogate's ratio."""
    n_epochs: int = 5
    """Passes over each rollout."""
    n_steps: int | None = None
    """Length of a rollout; by default a whole trial where all have one length."""
    init: Path | None = None
    """A run's folder, an agent's file or a checkpoint's name to take the initial weights from; its
    task may have had fewer actions."""
    trials_per_batch: int | None = None
    """Columns of a minibatch; by default a quarter of them."""
    ent_coef: float = 0.01
    """Weight of the entropy bonus."""
    ent_decay: bool = True
    """Let that weight fall linearly to zero over the run."""
    target_kl: float | None = None
    """Bound on an update's mean KL divergence, 0.01 by default, for trpo; for ppo SB3's early
    stop, none by default."""

    def network(self) -> dict[str, Any]:
        return {**super().network(), "prediction_coef": self.prediction_coef}
