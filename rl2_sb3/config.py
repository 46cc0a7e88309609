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
    """The policy's network (policy_kwargs in Python)."""

    memory: str = "gru"
    """Name of the memory: gru, lstm, or one that a plugin brings."""
    memory_kwargs: Named = field(default_factory=dict)
    """Further options of the memory, as name=value."""
    hidden_size: int = 64
    """Number of units of the memory."""
    candidate: Candidate = "tanh"
    """Activation of the GRU's candidate state."""
    memory_steps: int = 0
    """Initialise the update gates' biases for time scales from 2 to this many steps, such as a
    trial's length; by default all units forget half of their state at each step."""
    episode_units: int = 0
    """Number of units that are also reset at each episode's start."""
    layers_before: tuple[int, ...] = ()
    """Widths of the dense layers between the features and the memory."""
    layers_after: tuple[int, ...] = ()
    """Widths of the dense layers between the memory and the heads."""
    skip: bool = False
    """Feed the features to the layers after the memory as well (a skip connection)."""
    shared: bool = False
    """One network for policy and value; by default each has its own."""
    value_network: str | None = None
    """Memory of the value network, by default the policy's. "sums" adds up the inputs since the
    trial's start: cheap, and quick to learn for bandits and small MDPs."""
    weight_norm: bool = False
    """Normalise all weight matrices (Salimans & Kingma 2016)."""
    precision: Precision = "fp32"
    """Precision of matrix products; bf16 is faster for large networks on processors with bf16
    instructions."""
    action_reward: bool = True
    """Also feed the product of the last action and its reward (not with images)."""
    state_action: bool = False
    """Also feed the product of the last observation and the last action, alone and times the
    reward: for small MDPs."""
    prediction_coef: float = 0.0
    """Coefficient of an auxiliary loss: predict the privileged observation from the memory."""


@dataclass(kw_only=True)
class LearningConfig:
    """Options of PPO and TRPO."""

    learning_rate: float = 3e-3
    """Learning rate of Adam."""
    lr_decay: bool = True
    """Decay the learning rate linearly to a hundredth of it over the run."""
    gamma: float = 1.0
    """Discount factor."""
    gae_lambda: float = 0.5
    """Lambda of generalised advantage estimation."""
    value_lambda: float | None = None
    """Lambda of the value network's targets, by default that of the advantages. With 1 the targets
    are whole returns, without bootstrapping."""
    ent_coef: float = 0.01
    """Coefficient of the entropy bonus."""
    ent_decay: bool = True
    """Decay the entropy coefficient linearly to zero over the run."""
    clip_range: float = 0.2
    """Clip range of the probability ratio in the surrogate objective."""
    n_epochs: int = 5
    """Epochs over each rollout."""
    n_steps: int | None = None
    """Length of a rollout in steps; by default a whole trial where all have one length."""
    trials_per_batch: int | None = None
    """Columns of the rollout in a minibatch; by default a quarter of them."""
    target_kl: float | None = None
    """Bound on the mean KL divergence of an update. trpo: the trust region, by default 0.01; ppo:
    early stopping as in SB3, by default none."""
    normalize_advantage: bool = True
    """Normalise advantages."""
    vf_coef: float = 0.5
    """Coefficient of the value loss."""
    max_grad_norm: float = 0.5
    """Maximum norm of the gradient, for clipping."""


@dataclass(kw_only=True)
class TRPOConfig:
    """Options of TRPO alone."""

    step: Literal["first-order", "conjugate-gradient"] = "first-order"
    """first-order: epochs of Adam on the clipped surrogate, then a line search back to the old
    parameters, as in the paper. conjugate-gradient: the natural gradient step."""
    line_search_shrinking_factor: float = 0.5
    """Factor by which the line search shortens a step."""
    line_search_max_iter: int = 10
    """Maximum number of step lengths that the line search tries."""
    cg_max_steps: int = 15
    """Iterations of the conjugate gradient method."""
    cg_damping: float = 0.1
    """Damping, added to the diagonal of the Fisher matrix."""
    n_critic_updates: int = 10
    """Epochs of the value network's updates with the conjugate-gradient step."""


@dataclass(kw_only=True)
class ImitationConfig:
    """Options of imitation."""

    batches: int = 3000
    """Number of minibatches, each of new trials."""
    trials_per_batch: int = 128
    """Trials in a minibatch."""
    learning_rate: float = 2e-3
    """Initial learning rate of Adam, with cosine decay to zero."""
    student_share: float = 0.0
    """Share of the trials in which the student acts and the teacher labels (DAgger): it learns what
    to do in the states that its own mistakes lead to."""
    cost_weight: float = 0.0
    """Weight w, 0 to 1, of the value that the student's choices lose in the teacher's plan, in
    units of reward; the cross-entropy, in nats, has the weight 1 - w. For teachers that plan."""


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
    """Number of CPU threads; by default one for small networks and minibatches, and up to 8 with
    convolutions, or from 256 units and 64 columns in a minibatch on."""
    init: Path | None = None
    """Agent to take the initial weights from: a run's folder, an agent's file or an installed
    agent's name; its task may have fewer actions."""
    policy: Literal["GRUPolicy", "CnnGRUPolicy"] = "GRUPolicy"
    """Policy class; CnnGRUPolicy is the one for images."""
    network: tyro.conf.OmitArgPrefixes[PolicyConfig] = field(default_factory=PolicyConfig)


@dataclass(kw_only=True)
class TrainConfig(RunConfig):
    """What determines a training run."""

    steps: Whole = 1_000_000
    """Environment steps to train for, over all environments."""
    n_envs: int | None = None
    """Number of parallel environments, the columns of a rollout; by default 500 for batched tasks,
    else 8."""
    steps_per_rollout: int | None = None
    """Choose n_envs so that a rollout has about this many steps, where trials have one length."""
    workers: Workers = "in-process"
    """Where Gymnasium environments run: in one thread, in several (for simulators that release
    the GIL), or each in a process of its own."""
    privileged: bool = False
    """Train on privileged information: on the task distribution's training reward, such as the
    expected reward, with its privileged observation for the value network (unless --shared). The
    agent sees neither."""
    algorithm: Literal["ppo", "trpo"] = "ppo"
    """Algorithm: RL2PPO, or RL2TRPO with the paper's first-order step by default."""
    learning: tyro.conf.OmitArgPrefixes[LearningConfig] = field(default_factory=LearningConfig)
    trpo: tyro.conf.OmitArgPrefixes[TRPOConfig] = field(default_factory=TRPOConfig)


@dataclass(kw_only=True)
class ImitationRunConfig(RunConfig):
    """What determines a run of imitation."""

    teacher: str = "greedy"
    """Baseline to learn from, with its parameters where they are not the defaults:
    "ucb1(c=0.2)"."""
    n_envs: int | None = None
    """Trials that the teacher plays at once, by default as many as a minibatch has; a slow teacher
    is faster with more."""
    gamma: float = 1.0
    """Discount factor of the value network's returns."""
    learning: tyro.conf.OmitArgPrefixes[ImitationConfig] = field(default_factory=ImitationConfig)


@dataclass(kw_only=True)
class FolderConfig:
    """The run's folder, and how it is written."""

    out: Path = Path("runs/latest")
    """Folder of the run."""
    resume: bool = False
    """Resume from the last checkpoint in the folder, if there is one."""
    overwrite: bool = False
    """Replace the run that is in the folder."""
    minutes_between_checkpoints: float = 2.0
    """Minutes between checkpoints; at most this much work is lost."""
    progress: bool = True
    """Show a progress bar."""


def check_discounts(options: Mapping[str, Any]) -> None:
    """Check that discount factors and lambdas are from 0 to 1.

    :raises ValueError: one is not
    """
    for name in ("gamma", "gae_lambda", "value_lambda"):
        if not 0 <= (options.get(name) or 0) <= 1:
            raise ValueError(f"{name}={options[name]}: use a number from 0 to 1.")
