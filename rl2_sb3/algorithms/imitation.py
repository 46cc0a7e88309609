"""Learning from a baseline by supervision, as in the paper's section 3.1.

The paper trained its policy on trajectories of the Gittins index to tell apart what the
architecture can hold from what reinforcement learning finds.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.utils import configure_logger
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from rl2_sb3 import ranks
from rl2_sb3.algorithms.demonstrations import Demonstrations, Played, Teacher, action_distribution
from rl2_sb3.algorithms.finite import Block
from rl2_sb3.algorithms.heap import reused_memory
from rl2_sb3.algorithms.rollouts import TrialRollouts
from rl2_sb3.algorithms.threads import take_threads
from rl2_sb3.config import ImitationConfig
from rl2_sb3.policies import popart
from rl2_sb3.ranges import check_config
from rl2_sb3.trials.callback import of_this_rank

LOG_INTERVAL = 25
"""Minibatches between two entries of the log."""


class Figures(NamedTuple):
    """Of a minibatch."""

    divergence: float
    """KL divergence from the teacher, in nats per step."""
    value_loss: float
    cost: float | None
    """What a step's choice costs in the teacher's plan, where the teacher is asked."""


class Imitation:
    """Trains a model's policy on a teacher's choices, and its value on the teacher's returns.

    The policy minimises the cross-entropy with the teacher's action probabilities, or what its own
    choices cost in the teacher's plan (Ross & Bagnell 2014), or a mixture of the two; the learning
    rate falls to zero along a cosine. A model that was saved after some batches goes on from there.

    :param model: its environment is where the teacher acts; its discount is that of the value, its
        ``seed`` that of the choices, its ``threads`` are taken
    :param config: with fewer trials in a minibatch than the model has columns, the trials of one
        round make several
    :raises ValueError: out of range, or trials that the ranks cannot share evenly; see
        :func:`batches_of_a_round` and :class:`Demonstrations`
    """

    def __init__(
        self, model: TrialRollouts, teacher: Teacher, config: ImitationConfig | None = None
    ):
        assert model.env is not None
        self.model, self.config = model, ImitationConfig() if config is None else config
        check_config(self.config)
        self.demonstrations = Demonstrations(
            model.env,
            teacher,
            ranks.seed(model.seed or 0),
            model.policy,
            self.config.student_share,
            costs=self.config.cost_weight > 0,
            n_steps=self.config.n_steps,
        )
        self.last: Figures | None = None
        """Of the last minibatch."""
        self.parts = batches_of_a_round(
            model.n_envs * ranks.size(), self.config.trials_per_batch, self.config.batches
        )
        self.size = ranks.share(self.config.trials_per_batch, "trials_per_batch")
        """Trials of a minibatch on this rank."""

    def learn(self, callback: MaybeCallback = None, progress_bar: bool = False) -> TrialRollouts:
        """Train to the last batch.

        :param callback: told of each round as of a rollout, but of no single step
        :param progress_bar: show one, with the KL divergence from the teacher
        """
        model, size, batches = self.model, self.size, self.config.batches
        steps = self.demonstrations.length * self.config.trials_per_batch
        model.meet()
        if not ranks.is_first():
            model.set_logger(Logger(None, []))
            callback, progress_bar = of_this_rank(callback), False
        if not hasattr(model, "_logger"):
            model._logger = configure_logger(model.verbose, model.tensorboard_log, "Imitation")
        model._clock = None
        if model._last_obs is None and not self.demonstrations.anew:
            assert model.env is not None
            model._last_obs = model.env.reset()  # type: ignore[assignment]
        model.policy.set_training_mode(True)
        # Without the callback that counts trials, which needs every step.
        hooks = OnPolicyAlgorithm._init_callback(model, callback)
        hooks.on_training_start(locals(), globals())
        begin = model.num_timesteps // steps
        bar = tqdm(range(begin, batches), initial=begin, total=batches, disable=not progress_bar)
        with model.stopwatch(), take_threads(model.learning_threads()), reused_memory():
            for number in bar:
                turn, part = divmod(number, self.parts)
                if part == 0 or number == begin:
                    ranks.copy_first(model.policy)
                    hooks.on_rollout_start()
                    played, last = self.demonstrations.play(turn, model._last_obs)
                    Block(played.observations, last, played.rewards).check()
                    model._last_obs = None if self.demonstrations.anew else last
                    if model.policy.statistics is not None:
                        model.policy.statistics.follow(played.observations)
                    hooks.on_rollout_end()
                batch = played.columns(slice(part * size, (part + 1) * size))
                self.last = figures = self._update(batch, number)
                model.num_timesteps += steps
                self._record(batch, figures)
                if (number + 1) % LOG_INTERVAL == 0 or number + 1 == batches:
                    bar.set_description(f"KL from teacher {figures.divergence:.4f}")
                    self._dump()
        hooks.on_training_end()
        return model

    def _update(self, batch: Played, number: int) -> Figures:
        """A step on a minibatch."""
        model, weight = self.model, self.config.cost_weight
        policy, device = model.policy, model.device
        obs = {key: rows(value, device) for key, value in batch.observations.items()}
        obs["memory"] = policy.initial_memory(self.size)
        teacher_chances = rows(batch.probabilities, device).float()
        values, _, auxiliary = policy.evaluate(obs)
        values = values.flatten()
        worth = policy.value_in_rewards(values.detach()).cpu().numpy()
        returns = returns_to_go(
            batch.rewards, batch.ended, batch.cut, worth.reshape(batch.ended.shape), model.gamma
        )
        if not policy.value_statistics.seen:
            policy.normalise_values(returns)
        target = th.as_tensor(returns.reshape(-1), dtype=th.float32, device=device)
        target = popart.normalise(target, policy.value_statistics)
        log_chances = action_distribution(policy).logits
        cross_entropy = -(teacher_chances * log_chances).sum(dim=1).mean()
        value_loss = F.mse_loss(values, target)
        policy_loss, cost = (1 - weight) * cross_entropy, None
        if weight:
            costs = rows(batch.costs, device).float()
            cost = (log_chances.exp() * costs).sum(dim=1).mean()
            policy_loss = policy_loss + weight * cost
        cosine = math.cos(math.pi * number / self.config.batches)
        for group in policy.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * 0.5 * (1 + cosine)
        policy.optimizer.zero_grad()
        loss = policy_loss + model.vf_coef * value_loss
        if auxiliary is not None:
            loss = loss + auxiliary
        loss.backward()  # type: ignore[no-untyped-call]
        ranks.average_gradients(policy.parameters())
        nn.utils.clip_grad_norm_(list(policy.parameters()), model.max_grad_norm)
        policy.optimizer.step()
        policy.normalise_values(returns)
        entropy = th.special.entr(teacher_chances).sum(dim=1).mean()
        found = [cross_entropy.item() - entropy.item(), value_loss.item()]
        found += [] if cost is None else [cost.item()]
        figures = ranks.mean(th.tensor(found, dtype=th.float64)).tolist()
        return Figures(figures[0], figures[1], None if cost is None else figures[2])

    def _record(self, batch: Played, figures: Figures) -> None:
        logger = self.model.logger
        logger.record_mean("imitation/kl", figures.divergence)
        logger.record_mean("imitation/value_loss", figures.value_loss)
        if figures.cost is not None:
            steps_of_a_trial = batch.ended.size / max(1, batch.ended.sum())
            logger.record_mean("imitation/cost", steps_of_a_trial * figures.cost)
        returns = first_returns(batch)
        for name, columns in (("teacher", ~batch.by_student), ("student", batch.by_student)):
            if len(played := returns[columns & np.isfinite(returns)]):
                logger.record_mean(f"imitation/{name}_return", float(played.mean()))

    def _dump(self) -> None:
        steps = self.model.num_timesteps
        ranks.record(self.model.logger)
        self.model.logger.record("time/total_timesteps", steps, exclude="tensorboard")
        self.model.logger.dump(steps)


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


def first_returns(played: Played) -> NDArray[np.float64]:
    """What each column's first trial brought, ``(columns,)``; NaN where it did not come to its end.

    Of the later ones in a round of so many steps, the short ones end more often.
    """
    first, columns = played.ended.argmax(axis=0), np.arange(played.ended.shape[1])
    over = played.ended[first, columns] & ~played.cut[first, columns]
    sums = played.rewards.cumsum(axis=0, dtype=np.float64)[first, columns]
    return np.where(over, sums, np.nan)


def returns_to_go(
    rewards: NDArray[np.floating],
    ended: NDArray[np.bool_],
    cut: NDArray[np.bool_],
    values: NDArray[np.floating],
    gamma: float,
) -> NDArray[np.float64]:
    """Discounted sums of the rewards from each step to its trial's end, ``(steps, columns)``.

    :param ended: whether a trial ended with the step
    :param cut: whether that was no end of its own
    :param values: what is yet to come from each step on, for the last one that is seen of a trial
        that is cut, or not over
    """
    unfinished = cut.copy()
    unfinished[-1] |= ~ended[-1]
    returns = np.zeros(rewards.shape)
    following = np.zeros(rewards.shape[1])
    for t in reversed(range(len(rewards))):
        whole = rewards[t] + gamma * np.where(ended[t], 0.0, following)
        returns[t] = following = np.where(unfinished[t], values[t], whole)
    return returns
