"""What a run is: every option with its default and its help, stated once.

From these dataclasses come the command line, presets, a run's ``config.json`` and the defaults of
the classes that take the options. A run's configuration nests them; in files and on the command
line their options stand side by side, see :mod:`rl2_sb3.options`. None of this needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from rl2_sb3.registry import named_values

Candidate = Literal["tanh", "relu"]
Precision = Literal["fp32", "bf16"]
Workers = Literal["in-process", "threads", "subprocess"]


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
Named = Annotated[
    dict[str, Any],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=VALUE",
        instance_from_str=named_values,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [f"{key}={each!r}" for key, each in value.items()],
    ),
]
"""Options whose names only a plugin knows."""


@dataclass(kw_only=True)
class PolicyConfig:
    """The network: what ``policy_kwargs`` takes."""

    memory: str = "gru"
    """Name of the memory: gru, lstm, or one that a plugin brings."""
    memory_kwargs: Named = field(default_factory=dict)
    """Options of the memory's own, as name=value."""
    hidden_size: int = 64
    """Units of the memory."""
    candidate: Candidate = "tanh"
    """Activation of the GRU's candidate state."""
    memory_steps: int = 0
    """Begin with units that remember over 2 to this many steps, such as a trial's length; by
    default all forget half of their state at each step."""
    episode_units: int = 0
    """Units that are also reset at each episode's start."""
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
    """Precision of matrix products; bf16 is faster for large networks on processors that compute
    in it."""
    action_reward: bool = True
    """Also feed the product of the last action and its reward (not with images)."""
    state_action: bool = False
    """Remember the last observation, and also feed its product with the last action, alone and
    times the reward: for small MDPs."""
    normalize_observations: bool | None = None
    """Normalise the continuous parts of the task's own observation, images apart, by their running
    mean and deviation, which the agent keeps; by default where they have no bounds."""
    prediction_coef: float = 0.0
    """Weight of an auxiliary loss: the memory predicts the privileged observation."""


@dataclass(kw_only=True)
class LearningConfig:
    """How PPO and TRPO learn."""

    learning_rate: float = 3e-3
    """Learning rate of Adam."""
    lr_decay: bool = True
    """Let the learning rate fall linearly to a hundredth over the run."""
    gamma: float = 1.0
    """Discount factor."""
    gae_lambda: float = 0.5
    """Lambda of generalised advantage estimation."""
    value_lambda: float | None = None
    """Lambda of the returns that the value network learns from, by default that of the advantages.
    With 1, whole returns, it need not learn from its own estimates."""
    ent_coef: float = 0.01
    """Coefficient of the entropy bonus."""
    ent_decay: bool = True
    """Let the entropy coefficient fall linearly to zero over the run."""
    clip_range: float = 0.2
    """Clip range of the surrogate's probability ratio."""
    n_epochs: int = 5
    """Passes over each rollout."""
    n_steps: int | None = None
    """Length of a rollout in steps; by default a whole trial where all have one length."""
    trials_per_batch: int | None = None
    """Columns of a rollout in a minibatch; by default a quarter of them."""
    target_kl: float | None = None
    """Bound on an update's mean KL divergence: for trpo 0.01 by default; for ppo SB3's early stop,
    by default none."""
    normalize_advantage: bool = True
    """Standardise advantages."""
    vf_coef: float = 0.5
    """Coefficient of the value loss."""
    max_grad_norm: float = 0.5
    """Bound on the gradient's norm."""


@dataclass(kw_only=True)
class TRPOConfig:
    """What TRPO alone takes."""

    step: Literal["first-order", "conjugate-gradient"] = "first-order"
    """first-order: epochs of Adam on the clipped surrogate, then a line search back toward the old
    parameters, as in the paper. conjugate-gradient: the natural step."""
    line_search_shrinking_factor: float = 0.5
    """Factor on a step that is too long."""
    line_search_max_iter: int = 10
    """Number of step lengths that are tried."""
    cg_max_steps: int = 15
    """Iterations of the conjugate gradient."""
    cg_damping: float = 0.1
    """Number added to the Fisher matrix's diagonal."""
    n_critic_updates: int = 10
    """Epochs of the value network with the conjugate-gradient step."""


@dataclass(kw_only=True)
class ImitationConfig:
    """How a policy learns from a baseline's choices."""

    batches: int = 3000
    """Number of minibatches, each of new trials."""
    trials_per_batch: int = 128
    """Trials in a minibatch."""
    learning_rate: float = 2e-3
    """Initial learning rate of Adam, falling to zero along a cosine."""
    student_share: float = 0.0
    """Share of the trials that the student plays itself while the teacher says what it would do
    (DAgger): it learns what to do where its own mistakes lead."""
    cost_weight: float = 0.0
    """Weight, 0 to 1, of what the student's choices cost in the teacher's plan, in units of reward,
    against one minus it of the cross-entropy, in nats, to which all mistakes are alike. For
    teachers that plan."""


@dataclass(kw_only=True)
class RunConfig:
    """What is learned, by which network, and where."""

    task: tyro.conf.Positional[str]
    """Name of a task distribution, or a Gymnasium id."""
    episodes: int = 10
    """Episodes per trial."""
    seed: int = 0
    """Seed of tasks, noise, initial weights and actions."""
    device: str = "auto"
    """Device of the network: cpu, cuda, or auto."""
    threads: int | None = None
    """Processor threads; by default one for small networks and minibatches; with convolutions, or
    from 256 units and 64 columns a minibatch on, as many as pay, at most 8."""
    init: Path | None = None
    """A run's folder, an agent's file or an installed agent's name to take the initial weights
    from; its task may have had fewer actions."""
    policy: Literal["GRUPolicy", "CnnGRUPolicy"] = "GRUPolicy"
    """Policy class; CnnGRUPolicy is for images."""
    network: tyro.conf.OmitArgPrefixes[PolicyConfig] = field(default_factory=PolicyConfig)


@dataclass(kw_only=True)
class TrainConfig(RunConfig):
    """What determines a training run."""

    steps: Whole = 1_000_000
    """Environment steps to train for, over all trials."""
    n_envs: int | None = None
    """Trials that run at once, the columns of a rollout; by default 500 for arrays, else 8."""
    steps_per_rollout: int | None = None
    """Choose n_envs so that a rollout has about this many steps, where trials have one length."""
    workers: Workers = "in-process"
    """Where Gymnasium environments run: in one thread, in threads (for simulators that release
    Python's lock), or each in a process."""
    privileged: bool = False
    """Learn from what the task distribution tells in the reward's place, such as its expectation;
    a value network of its own (without --shared) sees what it tells of the task as well. The agent
    sees neither."""
    algorithm: Literal["ppo", "trpo"] = "ppo"
    """Algorithm: RL2PPO, or RL2TRPO with the paper's first-order step by default."""
    learning: tyro.conf.OmitArgPrefixes[LearningConfig] = field(default_factory=LearningConfig)
    trpo: tyro.conf.OmitArgPrefixes[TRPOConfig] = field(default_factory=TRPOConfig)


@dataclass(kw_only=True)
class ImitationRunConfig(RunConfig):
    """What determines a run of imitation."""

    teacher: str = "greedy"
    """Baseline to learn from, with its parameters if need be: "ucb1(c=0.2)"."""
    n_envs: int | None = None
    """Trials that the teacher plays at once, by default those of a minibatch; a slow teacher is
    faster with more."""
    gamma: float = 1.0
    """Discount factor of the value network's returns."""
    learning: tyro.conf.OmitArgPrefixes[ImitationConfig] = field(default_factory=ImitationConfig)


@dataclass(kw_only=True)
class FolderConfig:
    """Where a run lies, and how it is kept."""

    out: Path = Path("runs/latest")
    """Folder of the run."""
    resume: bool = False
    """Go on from the last checkpoint in the folder, if there is one."""
    overwrite: bool = False
    """Begin anew in a folder that holds a run."""
    minutes_between_checkpoints: float = 2.0
    """Minutes between checkpoints; at most this much work is lost."""
    progress: bool = True
    """Show a progress bar."""


def check_discounts(options: Mapping[str, Any]) -> None:
    """Refuse a discount factor or a lambda that is none.

    :raises ValueError: not from 0 to 1
    """
    for name in ("gamma", "gae_lambda", "value_lambda"):
        if not 0 <= (options.get(name) or 0) <= 1:
            raise ValueError(f"{name}={options[name]}: from 0 to 1.")
