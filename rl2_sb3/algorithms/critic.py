"""Updates of the value network alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch as th
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from torch import nn
from torch.nn import functional as F

from rl2_sb3 import ranks
from rl2_sb3.policies import GRUPolicy

if TYPE_CHECKING:
    from rl2_sb3.algorithms.rollouts import TrialRollouts


def warms_up(model: TrialRollouts) -> bool:
    """Let the value network learn alone from the rollout, where its warm-up lasts; whether so."""
    if model.num_timesteps > model.value_warmup:
        return False
    model.policy.set_training_mode(True)
    model._update_learning_rate(model.policy.optimizer)
    learn_values(model, model.n_epochs)
    model._n_updates += model.n_epochs
    model.log_state()
    model.follow_observations()
    return True


def learn_values(model: TrialRollouts, epochs: int) -> None:
    """Epochs over the model's rollout, of the value network; the policy stays as it is."""
    actor = model.policy.actor_parameters()
    losses = [
        critic_step(model.policy, batch, actor)
        for _ in range(epochs)
        for batch in model.rollout_buffer.get(model.batch_size)
    ]
    mean = float(ranks.mean(th.tensor(losses, dtype=th.float64)).mean())
    model.logger.record("train/value_loss", mean)


def critic_step(
    policy: GRUPolicy, batch: DictRolloutBufferSamples, actor: list[nn.Parameter]
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
    policy.optimizer.step()
    return loss.item()
