"""What a run is: every option with its default and its help, stated once.

From these dataclasses come the command line, presets, a run's ``config.json`` and the defaults of
the classes that take the options. Importing them needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Candidate = Literal["tanh", "relu"]
Precision = Literal["fp32", "bf16"]


@dataclass(kw_only=True)
class PolicyConfig:
    """The network: what ``policy_kwargs`` takes."""

    memory: str = "gru"
    """Name of the memory: gru, lstm, or one that a plugin brings."""
    memory_kwargs: dict[str, Any] = field(default_factory=dict)
    """Options of the memory's own, as name=value."""
    hidden_size: int = 64
    """Units of the memory."""
    candidate: Candidate = "tanh"
    """Activation of the GRU's candidate state."""
    memory_steps: int = 0
    """Begin with units that remember over 2 to this many steps, such as a trial's length; by
    default all forget half of their state at each step."""
    episode_units: int = 0
    """This many units are also reset at each episode's start."""
    layers_before: tuple[int, ...] = ()
    """Widths of the dense layers between the features and the memory."""
    layers_after: tuple[int, ...] = ()
    """Widths of the dense layers between the memory and the heads."""
    skip: bool = False
    """Feed the features to the layers after the memory as well, so that the present step can choose
    what to read from memory."""
    shared: bool = False
    """One network for policy and value; by default each has its own."""
    value_network: str | None = None
    """Memory of the value network, by default the policy's. "sums" adds up what the trial has
    shown: cheap, and sooner right for bandits and small MDPs."""
    weight_norm: bool = False
    """Normalise all weight matrices (Salimans & Kingma 2016)."""
    precision: Precision = "fp32"
    """Of matrix products. bf16 is faster for large networks on processors that compute in it."""
    action_reward: bool = True
    """Also feed the product of the last action and its reward (not with images)."""
    state_action: bool = False
    """Remember the last observation, and also feed its product with the last action, alone and
    times the reward: for small MDPs."""
    prediction_coef: float = 0.0
    """Weight of an auxiliary loss: the memory predicts the privileged observation."""
