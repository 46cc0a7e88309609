"""Updates of the value network alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch as th
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from torch import nn
from torch.nn import functional as F

from rl2_sb3 import ranks
from rl2_sb3.algorithms.updates import NOT_FINITE
from rl2_sb3.policies import GRUPolicy

if TYPE_CHECKING:
    from rl2_sb3.algorithms.rollouts import TrialRollouts


def warms_up(model: TrialRollouts, epochs: int) -> bool:
    """Let the value network learn alone from a rollout that began in its warm-up; whether so.

    :param epochs: over the rollout
    """
    begun = model.num_timesteps - model.n_steps * model.n_envs * ranks.size()
    if begun >= model.value_warmup:
        return False
    model.policy.set_training_mode(True)
    model._update_learning_rate(model.policy.optimizer)
    learn_values(model, epochs, model.max_grad_norm)
    model._n_updates += epochs
    model.log_state()
    model.follow_observations()
    return True


def learn_values(model: TrialRollouts, epochs: int, max_grad_norm: float = math.inf) -> None:
    """Epochs over the model's rollout, of the value network; the policy stays as it is.

    :param max_grad_norm: of a minibatch's gradient
    :raises ValueError: the loss is not finite
    """
    actor = model.policy.actor_parameters()
    losses = [
        critic_step(model.policy, batch, actor, max_grad_norm)
        for _ in range(epochs)
        for batch in model.rollout_buffer.get(model.batch_size)
    ]
    mean = float(ranks.mean(th.tensor(losses, dtype=th.float64)).mean())
    if not math.isfinite(mean):
        raise ValueError(NOT_FINITE)
    model.logger.record("train/value_loss", mean)


def critic_step(
    policy: GRUPolicy,
    batch: DictRolloutBufferSamples,
    actor: list[nn.Parameter],
    max_grad_norm: float,
) -> float:
    """A step of the value network's own parameters on a minibatch; gives the loss.

    :param actor: parameters that actions depend on, which stay as the trust region has them
    """
    loss = F.mse_loss(batch.returns, policy.predict_values(batch.observations).flatten())
    policy.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter in actor:
        parameter.grad = None
    ranks.average_gradients(policy.parameters())
    nn.utils.clip_grad_norm_(policy.parameters(), max_grad_norm)
    policy.optimizer.step()
    return loss.item()
