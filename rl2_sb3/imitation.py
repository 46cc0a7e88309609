"""Learning from a baseline by supervision, as in the paper's section 3.1.

The paper trained its policy on trajectories of the Gittins index to tell apart what the
architecture can hold from what reinforcement learning finds.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from torch import nn
from torch.distributions import Categorical
from torch.nn import functional as F
from tqdm import tqdm

from rl2_sb3.algorithms import RL2PPO
from rl2_sb3.algorithms.heap import reused_memory
from rl2_sb3.algorithms.threads import take_threads
from rl2_sb3.policies import GRUPolicy, popart
from rl2_sb3.trials.make import trial_length


class Teacher(Protocol):
    """A baseline whose choices are known as probabilities.

    One that plans may have ``action_costs(state)``, too: what each action loses against the best,
    ``(trials, actions)``, after the observation that this state has come from.
    """

    def action_probabilities(
        self, observation: Any, state: Any = None, episode_start: Any = None
    ) -> tuple[NDArray[np.floating], Any]:
        """Probabilities of the actions ``(trials, actions)``, and the next state."""


class Played(NamedTuple):
    """A trial of each column, time-major: axis 0 the step, axis 1 the column."""

    observations: dict[str, NDArray[Any]]
    probabilities: NDArray[np.floating]
    """The teacher's, of each action, ``(steps, columns, actions)``."""
    costs: NDArray[np.floating]
    """What each action loses, of the same shape; zeros where the teacher is not asked."""
    rewards: NDArray[np.floating]
    """``(steps, columns)``."""
    by_student: NDArray[np.bool_]
    """Who acted, ``(columns,)``."""

    def columns(self, some: slice) -> Played:
        """A part of the columns."""
        observations = {key: part[:, some] for key, part in self.observations.items()}
        return Played(
            observations,
            *(self.probabilities[:, some], self.costs[:, some], self.rewards[:, some]),
            self.by_student[some],
        )


class Demonstrations:
    """Fresh trials of a teacher and its student, each round from new tasks.

    :param trials: where they act, all trials of one length
    :param student: acts in a share of the columns, and the teacher says there what it would do
    :param student_share: of the columns, 0 to 1, spread evenly
    :param costs: ask the teacher what actions cost
    :raises ValueError: trials of different lengths, actions that are not discrete, or a baseline
        that does not tell its action probabilities, or not their costs
    """

    def __init__(
        self,
        trials: VecEnv,
        teacher: Teacher,
        seed: int,
        student: GRUPolicy | None = None,
        student_share: float = 0.0,
        costs: bool = False,
    ):
        length = trial_length(trials)
        if length is None or trials.action_space.shape != ():
            raise ValueError("Imitation needs trials of one length and discrete actions.")
        check_teacher(teacher, costs)
        self.trials, self.teacher, self.seed, self.length = trials, teacher, seed, length
        self.ask_costs: Any = teacher.action_costs if costs else None  # type: ignore[attr-defined]
        self.student = student
        self.by_student = students_columns(trials.num_envs, student_share)

    def play(self, number: int, obs: Any) -> tuple[Played, Any]:
        """One trial of each column.

        :param number: of the round: it seeds the choices
        :param obs: the trials' first observation
        :return: the trials, and the next ones' first observation
        """
        rng = np.random.default_rng([self.seed, number])
        seen, probabilities, costs, rewards, state = [], [], [], [], None
        memory: Any = None
        for _ in range(self.length):
            chances, state = self.teacher.action_probabilities(obs, state)
            taken = chances
            if self.by_student.any():
                taken = np.array(chances)
                taken[self.by_student], memory = self._students_chances(obs, memory)
            draw = rng.random((len(taken), 1))
            actions = np.minimum((taken.cumsum(axis=1) < draw).sum(axis=1), taken.shape[1] - 1)
            seen.append(obs)
            probabilities.append(chances)
            costs.append(self.ask_costs(state) if self.ask_costs else np.zeros_like(chances))
            obs, reward, _, _ = self.trials.step(actions)
            rewards.append(reward)
        observations = {key: np.stack([each[key] for each in seen]) for key in seen[0]}
        choices = np.stack(probabilities), np.stack(costs)
        return Played(observations, *choices, np.stack(rewards), self.by_student), obs

    def _students_chances(
        self, obs: Any, memory: th.Tensor | None
    ) -> tuple[NDArray[np.floating], th.Tensor]:
        """The student's action probabilities in its columns, and its next memory."""
        assert self.student is not None
        own: Any = {
            key: th.as_tensor(value[self.by_student], device=self.student.device)
            for key, value in obs.items()
        }
        columns = int(self.by_student.sum())
        own["memory"] = self.student.initial_memory(columns) if memory is None else memory
        with th.no_grad():
            memory = self.student.act(own).memory
        return _distribution(self.student).probs.cpu().numpy(), memory


def imitate(
    model: RL2PPO,
    teacher: Teacher,
    batches: int,
    trials_per_batch: int | None = None,
    learning_rate: float = 2e-3,
    seed: int = 0,
    student_share: float = 0.0,
    cost_weight: float = 0.0,
    on_round: Any = None,
    progress: bool = True,
) -> RL2PPO:
    """Train a model's policy on a teacher's choices, and its value on the teacher's returns.

    The policy minimises the cross-entropy with the teacher's action probabilities, or what its own
    choices cost in the teacher's plan, or a mixture of the two; the learning rate falls to zero
    along a cosine. A model that was saved after some batches goes on from there.

    :param model: its environment is where the teacher acts; its discount is that of the value, its
        ``threads`` are taken
    :param batches: minibatches in all
    :param trials_per_batch: trials of each, by default one of every column; with fewer, the trials
        of one round make several minibatches
    :param student_share: share of the trials that the student acts in, with the teacher's choices
        as its targets: it learns what to do where it gets itself to (DAgger, Ross et al. 2011)
    :param cost_weight: weight, 0 to 1, of what the policy's choices cost in the teacher's plan, in
        units of reward a step (Ross & Bagnell 2014), against one minus it of the cross-entropy, in
        nats, to which all mistakes are alike
    :param on_round: called after each round, with nothing
    :raises ValueError: see :func:`batches_of_a_round`, :func:`check_cost_weight` and
        :class:`Demonstrations`
    """
    assert model.env is not None
    check_cost_weight(cost_weight)
    demonstrations = Demonstrations(
        model.env, teacher, seed, model.policy, student_share, costs=cost_weight > 0
    )
    size = model.n_envs if trials_per_batch is None else trials_per_batch
    parts = batches_of_a_round(model.n_envs, size, batches)
    steps = demonstrations.length * size
    policy = model.policy
    policy.set_training_mode(True)
    parameters = list(policy.parameters())
    if model._last_obs is None:
        model._last_obs = model.env.reset()  # type: ignore[assignment]
    begin = model.num_timesteps // steps
    bar = tqdm(range(begin, batches), initial=begin, total=batches, disable=not progress)
    with take_threads(model.learning_threads()), reused_memory():
        for number in bar:
            turn, part = divmod(number, parts)
            if part == 0 or number == begin:
                played, model._last_obs = demonstrations.play(turn, model._last_obs)
            batch = played.columns(slice(part * size, (part + 1) * size))
            returns = returns_to_go(batch.rewards, model.gamma)
            policy.normalise_values(returns)
            target = th.as_tensor(returns.reshape(-1), dtype=th.float32, device=model.device)
            target = popart.normalise(target, policy.value_statistics)
            obs = {key: rows(value, model.device) for key, value in batch.observations.items()}
            obs["memory"] = policy.initial_memory(size)
            teacher_chances = rows(batch.probabilities, model.device).float()
            values, _, auxiliary = policy.evaluate(obs)
            log_chances = _distribution(policy).logits
            cross_entropy = -(teacher_chances * log_chances).sum(dim=1).mean()
            value_loss = F.mse_loss(values.flatten(), target)
            for group in policy.optimizer.param_groups:
                group["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * number / batches))
            policy_loss = (1 - cost_weight) * cross_entropy
            if cost_weight:
                costs = rows(batch.costs, model.device).float()
                cost = (log_chances.exp() * costs).sum(dim=1).mean()
                policy_loss = policy_loss + cost_weight * cost
            loss = policy_loss + model.vf_coef * value_loss
            if auxiliary is not None:
                loss = loss + auxiliary
            policy.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, model.max_grad_norm)
            policy.optimizer.step()
            model.num_timesteps += steps
            entropy = th.special.entr(teacher_chances).sum(dim=1).mean()
            divergence = cross_entropy.item() - entropy.item()
            model.logger.record_mean("imitation/kl", divergence)
            model.logger.record_mean("imitation/value_loss", value_loss.item())
            if cost_weight:
                model.logger.record_mean("imitation/cost", demonstrations.length * cost.item())
            whole = batch.rewards.sum(axis=0)
            for name, trials in (("teacher", ~batch.by_student), ("student", batch.by_student)):
                if trials.any():
                    model.logger.record_mean(
                        f"imitation/{name}_return", float(whole[trials].mean())
                    )
            if (number + 1) % 25 == 0 or number + 1 == batches:
                bar.set_description(f"KL from teacher {divergence:.4f}")
                model.logger.record(
                    "time/total_timesteps", model.num_timesteps, exclude="tensorboard"
                )
                model.logger.dump(model.num_timesteps)
            if on_round is not None and part + 1 == parts:
                on_round()
    return model


def students_columns(columns: int, share: float) -> NDArray[np.bool_]:
    """In which columns the student acts, ``(columns,)``: a share of them, spread evenly.

    :raises ValueError: no share, or less than a column's
    """
    by_student = np.diff(np.floor(np.arange(columns + 1) * share + 1e-9)) > 0
    if not 0 <= share <= 1 or (share and not by_student.any()):
        raise ValueError(
            f"student_share={share}: use one from 0 to 1, and of {columns} columns one at least."
        )
    return np.asarray(by_student)


def check_teacher(teacher: Any, costs: bool) -> None:
    """See that a baseline tells what its student is to learn.

    :param costs: of actions as well as probabilities
    :raises ValueError: it does not
    """
    if not callable(getattr(teacher, "action_probabilities", None)):
        raise ValueError(
            f"{teacher} does not tell its action probabilities: greedy, ucb1, thompson, "
            "gittins, and for tabular MDPs beb, ucrl2 and greedy-mdp do."
        )
    if costs and not callable(getattr(teacher, "action_costs", None)):
        raise ValueError(
            f"{teacher} does not tell what actions cost: beb, ucrl2 and greedy-mdp do. "
            "Leave cost_weight at 0."
        )


def check_cost_weight(weight: float) -> None:
    """Refuse a weight that is none.

    :raises ValueError: not from 0 to 1
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"cost_weight={weight}: use one from 0 to 1.")


def batches_of_a_round(columns: int, size: int, batches: int) -> int:
    """How many minibatches the trials of one round make.

    :param size: trials of a minibatch
    :param batches: minibatches in all
    :raises ValueError: columns that do not make whole minibatches, or batches that end in a round
    """
    if min(columns, size) < 1 or columns % size or batches % (columns // size):
        raise ValueError(
            f"{batches} batches of {size} trials cannot be made of rounds of {columns}: let the "
            "trials of a round be a multiple of those of a batch, and the batches of their ratio."
        )
    return columns // size


def rows(array: NDArray[Any], device: th.device) -> th.Tensor:
    """The steps of all columns one under the other, as policies take them."""
    return th.as_tensor(array.reshape(-1, *array.shape[2:]), device=device)


def returns_to_go(rewards: NDArray[np.floating], gamma: float) -> NDArray[np.float64]:
    """Discounted sums of the rewards from each step on, ``(steps, columns)``."""
    returns = np.zeros(rewards.shape)
    following = np.zeros(rewards.shape[1])
    for t in reversed(range(len(rewards))):
        following = rewards[t] + gamma * following
        returns[t] = following
    return returns


def _distribution(policy: GRUPolicy) -> Categorical:
    """That of the actions which the policy evaluated last."""
    distribution = policy.action_dist.distribution
    assert isinstance(distribution, Categorical)
    return distribution
