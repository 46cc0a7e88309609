"""What a run is: every option with its default and its help, stated once.

From these dataclasses come the command line, presets, a run's ``config.json`` and the defaults of
the classes that take the options. A run's configuration nests them; in files and on the command
line their options stand side by side, see :mod:`rl2_sb3.options`. The types state the ranges, which
:mod:`rl2_sb3.ranges` checks before anything runs. None of this needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from rl2_sb3.ranges import Range
from rl2_sb3.registry import named_values

Candidate = Literal["tanh", "relu"]
Precision = Literal["fp32", "bf16"]
Workers = Literal["in-process", "threads", "subprocess"]
Tracking = Literal["auto", "none", "wandb"]


def whole(text: str) -> int:
    """A whole number, written as 1000000, 1_000_000 or 1e6."""
    number = float(text)
    if not number.is_integer():
        raise ValueError(f"{text} is not a whole number")
    return int(number)


Whole = Annotated[
    int,
    Range(1, whole=True),
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda words: whole(words[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""For steps, which people write as 1e6."""
Count = Annotated[int, Range(1, whole=True)]
"""Of what there must be one of."""
CountOrNone = Annotated[int, Range(0, whole=True)]
"""Of what there may be none of."""
Widths = Annotated[tuple[int, ...], Range(1, whole=True)]
"""Of layers."""
Seed = Annotated[int, Range(0, 2**32 - 1, whole=True)]
"""What numpy takes."""
Share = Annotated[float, Range(0, 1)]
"""Of a whole; discounts, too."""
Rate = Annotated[float, Range(0, 1, above=True)]
"""A share that is not nothing."""
Weight = Annotated[float, Range(0, 1e6)]
"""Of a term among others."""
Positive = Annotated[float, Range(0, above=True)]
"""A bound that binds."""
Bound = Annotated[float, Range(0, above=True, endless=True)]
"""A bound that may be infinite, which is none."""
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
    """Memory: gru, lstm, linear, window, fast-weights, action-gru, transition-graph, a plugin's."""
    memory_kwargs: Named = field(default_factory=dict)
    """Further options of the memory, as name=value."""
    hidden_size: Count = 64
    """Units of the memory; of each action's (action-gru), or pair's (transition-graph)."""
    candidate: Candidate = "tanh"
    """Activation of the GRU's candidate state."""
    memory_steps: CountOrNone = 0
    """Initialise the update gates (GRUs, linear) for time scales from 2 to this many steps, such as
    a trial's length; by default all units forget half of their state at each step."""
    episode_units: CountOrNone = 0
    """Number of units that are also reset at each episode's start."""
    layers_before: Widths = ()
    """Widths of the dense layers between the features and the memory."""
    layers_after: Widths = ()
    """Widths of the dense layers between the memory and the heads."""
    skip: bool = False
    """Feed the features to the layers after the memory as well (a skip connection)."""
    shared: bool = False
    """One network for policy and value; by default each has its own."""
    value_network: str | None = None
    """Memory of the value network, by default the policy's. "sums" adds up the inputs, quick to
    learn from; "action-sums" (bandits) and "pair-sums" (small MDPs) see them as a set."""
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
    normalize_observations: bool | None = None
    """Normalise the continuous parts of the observation, except images, by their running mean and
    deviation, and the last reward by its root mean square; by default where it is unbounded."""
    prediction_coef: Weight = 0.0
    """Coefficient of an auxiliary loss: predict the privileged observation from the memory."""


@dataclass(kw_only=True)
class LearningConfig:
    """Options of PPO and TRPO."""

    learning_rate: Share = 3e-3
    """Learning rate of Adam."""
    lr_decay: bool = True
    """Decay the learning rate linearly to a hundredth of it over the run."""
    gamma: Share = 1.0
    """Discount factor."""
    gae_lambda: Share = 0.5
    """Lambda of generalised advantage estimation."""
    value_lambda: Share | None = None
    """Lambda of the value network's targets, by default gae_lambda; with 1 whole returns."""
    value_warmup: CountOrNone = 0
    """Steps at first, in whole rollouts, in which the value network learns alone (after init)."""
    ent_coef: Weight = 0.01
    """Coefficient of the entropy bonus."""
    ent_decay: bool = True
    """Decay the entropy coefficient linearly to zero over the run."""
    visit_bonus: Weight = 0.0
    """Coefficient of an exploration bonus, 1 / (1 + the trial's earlier visits of the state and
    action), which decays linearly to zero over the run. For batched, Discrete tasks."""
    clip_range: Positive = 0.2
    """Clip range of the probability ratio in the surrogate objective."""
    n_epochs: Count = 5
    """Epochs over each rollout."""
    n_steps: Count | None = None
    """Length of a rollout in steps; by default a whole trial where all have one length."""
    trials_per_batch: Count | None = None
    """Columns of the rollout in a minibatch; by default a quarter of them."""
    target_kl: Positive | None = None
    """Bound on an update's mean KL divergence. trpo: the trust region, by default 0.01; ppo: early
    stopping as in SB3, by default none."""
    normalize_advantage: bool = True
    """Normalise advantages."""
    vf_coef: Weight = 0.5
    """Coefficient of the value loss."""
    max_grad_norm: Bound = 0.5
    """Maximum norm of the gradient, for clipping."""


@dataclass(kw_only=True)
class TRPOConfig:
    """Options of TRPO alone."""

    step: Literal["first-order", "conjugate-gradient"] = "first-order"
    """first-order: epochs of Adam on the clipped surrogate, then a line search back to the old
    parameters, as in the paper. conjugate-gradient: the natural gradient step."""
    line_search_shrinking_factor: Rate = 0.5
    """Factor by which the line search shortens a step."""
    line_search_max_iter: Count = 10
    """Maximum number of step lengths that the line search tries."""
    cg_max_steps: Count = 15
    """Iterations of the conjugate gradient method."""
    cg_damping: Weight = 0.1
    """Damping, added to the diagonal of the Fisher matrix."""
    cg_share: Rate = 1.0
    """Share of a rollout's minibatches, at least one, that the Fisher matrix is from."""
    n_critic_updates: Count = 10
    """Epochs of the value network's updates with the conjugate-gradient step."""


@dataclass(kw_only=True)
class ImitationConfig:
    """Options of imitation."""

    batches: Count = 3000
    """Number of minibatches, each of new trials."""
    trials_per_batch: Count = 128
    """Trials in a minibatch; with n_steps, its columns."""
    n_steps: Count | None = None
    """Steps of a round, which begins with new trials in all columns; by default a whole trial.
    Needed where trials differ in length: take at least the longest."""
    learning_rate: Share = 2e-3
    """Initial learning rate of Adam, with cosine decay to zero."""
    student_share: Share = 0.0
    """Share of the trials in which the student acts and the teacher labels (DAgger): it learns what
    to do in the states that its own mistakes lead to."""
    cost_weight: Share = 0.0
    """Weight w, 0 to 1, of the value that the student's choices lose in the teacher's plan, in
    units of reward; the cross-entropy, in nats, has the weight 1 - w. For teachers that plan."""


@dataclass(kw_only=True)
class RunConfig:
    """What is learned, by which network, and where."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of a task distribution, or a Gymnasium id."""
    episodes: Count = 10
    """Episodes per trial."""
    seed: Seed = 0
    """Seed of tasks, noise, initial weights and actions."""
    device: str = "auto"
    """Device of the network: cpu, cuda, or auto."""
    threads: Count | None = None
    """Number of CPU threads; by default one for small networks and minibatches, and up to 8 with
    convolutions, or from 256 units and 64 columns in a minibatch on."""
    init: Path | None = None
    """Agent to take the weights from: a run's folder, an agent's file or an installed agent's name;
    its task may have fewer actions."""
    policy: str = "GRUPolicy"
    """Policy class: GRUPolicy, CnnGRUPolicy, which is the one for images, or module:Class for one
    that a plugin brings."""
    network: tyro.conf.OmitArgPrefixes[PolicyConfig] = field(default_factory=PolicyConfig)


@dataclass(kw_only=True)
class TrainConfig(RunConfig):
    """What determines a training run."""

    steps: Whole = 1_000_000
    """Environment steps to train for, over all environments, in whole rollouts."""
    decay_steps: Whole | None = None
    """Steps over which the learning rate, the entropy coefficient and the visit bonus decay; they
    keep their last values afterwards. By default the run's; a resumed run keeps its first ones."""
    n_envs: Count | None = None
    """Number of parallel environments, the columns of a rollout; by default 500 for batched tasks,
    else 8. Ranks (torchrun) share them evenly, as well as --trials-per-batch and --steps."""
    steps_per_rollout: Count | None = None
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
    n_envs: Count | None = None
    """Trials that the teacher plays at once, by default as many as a minibatch has; a slow teacher
    is faster with more. Ranks (torchrun) share them evenly, as well as --trials-per-batch."""
    gamma: Share = 1.0
    """Discount factor of the value network's returns."""
    privileged: bool = False
    """For a teacher that needs the privileged observation, such as guide in mazes; the value
    network sees it, too (unless --shared). The agent does not."""
    learning: tyro.conf.OmitArgPrefixes[ImitationConfig] = field(default_factory=ImitationConfig)


@dataclass(kw_only=True)
class TrackConfig:
    """Where a run is tracked, beside its folder."""

    track: Tracking = "auto"
    """wandb: log the run on Weights & Biases as well, as its environment variables say
    (WANDB_PROJECT, WANDB_MODE=offline, ...). auto: where `wandb agent` has started it."""


@dataclass(kw_only=True)
class FolderConfig(TrackConfig):
    """The run's folder, and how it is written."""

    out: Path = Path("runs/latest")
    """Folder of the run."""
    resume: bool = False
    """Resume from the last checkpoint in the folder, if there is one."""
    trust: bool = False
    """Resume from a checkpoint that runs code of its own when it is loaded."""
    overwrite: bool = False
    """Replace the run that is in the folder."""
    minutes_between_checkpoints: Weight = 2.0
    """Minutes between checkpoints; at most this much work is lost where a run cannot save itself
    (SIGKILL), and the rollout in progress where it can (SIGTERM, SIGINT, SIGHUP)."""
    progress: bool = True
    """Show a progress bar, or print a line now and then where the output is no terminal."""
