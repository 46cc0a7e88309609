"""The loss by hand, and what PPO, TRPO and imitation hand on of their options."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.algorithms import RL2TRPO, ppo, trpo
from rl2_sb3.algorithms.imitation import Imitation
from rl2_sb3.algorithms.updates import Loss, Updates
from rl2_sb3.baselines import UCB1
from rl2_sb3.config import ImitationConfig
from tests.algorithms.collecting import collect

RATIOS = [1.0, 1.5, 0.5, 1.1]
ADVANTAGES = [1.0, 2.0, -1.0, -2.0]
ENTROPIES = [0.5, 0.7]


def batch(values: list[float]) -> tuple[Any, DictRolloutBufferSamples]:
    """A policy that has moved from the one that acted by :data:`RATIOS`, and what was acted."""
    log_probs = th.tensor(RATIOS).log()
    distribution = SimpleNamespace(
        log_prob=lambda actions: log_probs, entropy=lambda: th.tensor(ENTROPIES)
    )
    policy = SimpleNamespace(evaluate=lambda obs: (th.tensor(values)[:, None], distribution, None))
    zeros = th.zeros(4)
    samples = DictRolloutBufferSamples({}, zeros, zeros, zeros, th.tensor(ADVANTAGES), zeros + 1)
    return policy, samples


def test_the_loss_by_hand() -> None:
    policy, samples = batch([1.0, 2.0, 3.0, 1.0])
    loss, figures = Loss(0.2, 0.1, 0.5)(policy, samples, th.zeros(4))
    # Clipped to 0.8 .. 1.2: 1 * 1, 2 * 1.2, -1 * 0.8, -2 * 1.1.
    surrogate = (1 + 2.4 - 0.8 - 2.2) / 4
    value_loss, entropy = (0 + 1 + 4 + 0) / 4, 0.6
    told = figures.tolist()
    assert told[0] == pytest.approx(-surrogate)
    assert told[1:4] == pytest.approx([value_loss, -entropy, 0.5])
    assert told[5] == pytest.approx(-surrogate - 0.1 * entropy + 0.5 * value_loss)
    # Of the surrogate, the parts that are not clipped have a slope: 1 * 1 and -2 * 1.1.
    slopes = (1 - 2.2) / 4
    assert float(loss) == pytest.approx(-slopes - 0.1 * entropy + 0.5 * value_loss)


def test_the_loss_standardises_advantages_where_it_is_told() -> None:
    policy, samples = batch([1.0] * 4)
    _, figures = Loss(0.2, 0, 0, None, True)(policy, samples, th.zeros(4))
    a, b, c, d = (np.array(ADVANTAGES) - np.mean(ADVANTAGES)) / np.std(ADVANTAGES, ddof=1)
    assert float(figures[0]) == pytest.approx(-(a + 1.2 * b + 0.8 * c + 1.1 * d) / 4)


@pytest.mark.parametrize(("moved", "goes_on"), [(0.014, True), (0.016, False)])
def test_an_epoch_ends_at_one_and_a_half_times_the_target(moved: float, goes_on: bool) -> None:
    model = RL2PPO("GRUPolicy", make_trials("bandit", 4, 2), policy_kwargs={"hidden_size": 4})
    weight = next(model.policy.parameters())

    def loss(*_: Any) -> Any:
        return weight.sum(), th.tensor([0, 0, 0, 0, moved, 0])

    updates = Updates(model.policy, loss, 0.5, target_kl=0.01)  # type: ignore[arg-type]
    assert updates.epoch([batch([0.0] * 4)[1]], discrete=True) == goes_on


@pytest.mark.parametrize(
    ("algorithm", "module", "own"), [(RL2PPO, ppo, (None, True)), (RL2TRPO, trpo, ())]
)
def test_the_losss_terms_are_the_options(
    algorithm: Any, module: Any, own: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Loss] = []

    def make(*terms: Any) -> Loss:
        made.append(Loss(*terms))
        return made[-1]

    monkeypatch.setattr(module, "Loss", make)
    options = {"clip_range": 0.3, "ent_coef": 0.02, "vf_coef": 0.7}
    model = algorithm("GRUPolicy", make_trials("bandit", 4, 2, seed=0), seed=0, **options)
    collect(model)
    model.train()
    assert made == [Loss(0.3, 0.02, 0.7, *own)]


@pytest.mark.parametrize("algorithm", [RL2PPO, RL2TRPO])
def test_the_gradients_norm_is_bounded(algorithm: Any) -> None:
    """With plain gradient descent at a rate of 1, it is the step's length."""
    model = algorithm(
        "GRUPolicy",
        make_trials("bandit", 8, 2, seed=0),
        trials_per_batch=8,
        n_epochs=1,
        learning_rate=1.0,
        ent_coef=0.0,
        max_grad_norm=0.001,
        seed=0,
        policy_kwargs={"hidden_size": 4, "optimizer_class": th.optim.SGD},
    )
    collect(model)
    before = th.nn.utils.parameters_to_vector(model.policy.parameters()).detach().clone()
    model.train()
    step = th.nn.utils.parameters_to_vector(model.policy.parameters()).detach() - before
    assert float(step.norm()) == pytest.approx(0.001, rel=0.02)


def test_imitations_learning_rate_falls_along_a_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = make_trials("bandit", 4, 3, seed=0, arms=2)
    model = RL2PPO("GRUPolicy", trials, seed=0, policy_kwargs={"hidden_size": 4})
    config = ImitationConfig(batches=4, trials_per_batch=4, learning_rate=0.01)
    rates: list[float] = []
    optimizer = model.policy.optimizer
    step = optimizer.step

    def noted(*args: Any) -> Any:
        rates.append(optimizer.param_groups[0]["lr"])
        return step(*args)

    monkeypatch.setattr(optimizer, "step", noted)
    Imitation(model, UCB1(arms=2), config).learn()
    cosines = [1, math.sqrt(0.5), 0, -math.sqrt(0.5)]
    assert rates == pytest.approx([0.005 * (1 + cosine) for cosine in cosines])
