from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.distributions import Distribution
from torch.distributions import Bernoulli, Categorical, kl_divergence

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.memories import gru as gru_module
from rl2_sb3.policies.distributions import LogBernoulli, LogCategorical
from rl2_sb3.trials import make_trials
from tests.algorithms.collecting import Model, collect
from tests.envs import ENVS
from tests.memories.reference import plain_gru

NATURAL: dict[str, Any] = {
    "step": "conjugate-gradient",
    "cg_max_steps": 4,
    "n_critic_updates": 2,
}
ENVIRONMENTS = ["bandit", "box", "multi-discrete", "multi-binary"]


def make_model(env: str = "bandit", algorithm: type[Model] = RL2TRPO, **options: Any) -> Model:
    """A model of minibatches of two columns, as are the chunks that KL divergences come from."""
    source = env if env == "bandit" else ENVS[env]
    trials = make_trials(source, 5, episodes=4, seed=0)
    network = {"hidden_size": 8, **options.pop("network", {})}
    return algorithm(
        "GRUPolicy", trials, n_steps=8, batch_size=16, policy_kwargs=network, seed=0, **options
    )


def trpo(env: str = "bandit", **options: Any) -> RL2TRPO:
    model = make_model(env, RL2TRPO, **options)
    assert isinstance(model, RL2TRPO)
    return model


@pytest.mark.parametrize("options", [{}, NATURAL])
def test_images(options: Any) -> None:
    """Their convolutions' weights lie in memory in another order."""
    trials = make_trials(ENVS["image"], 4, episodes=2, seed=0)
    network = {"hidden_size": 8, "features_extractor_kwargs": {"features_dim": 8}}
    model = RL2TRPO("CnnGRUPolicy", trials, n_steps=8, seed=0, policy_kwargs=network, **options)
    before = weights(model, value=False)
    model.learn(2 * 4 * 8)
    assert not same(before, weights(model, value=False))


def weights(model: Model, value: bool) -> list[th.Tensor]:
    """Copies of the parameters of the policy, or of the value network."""
    actor = {id(parameter) for parameter in model.policy.actor_parameters()}
    chosen = [p for p in model.policy.parameters() if (id(p) not in actor) == value]
    return [parameter.detach().clone() for parameter in chosen]


def same(some: list[th.Tensor], others: list[th.Tensor]) -> bool:
    return all(map(th.equal, some, others))


def distributions(model: Model) -> list[Any]:
    """The rollout's distributions as torch's own, one for each part of the action."""
    (batch,) = model.rollout_buffer.get(None)
    with th.no_grad():
        sb3: Distribution = copy.copy(model.policy.get_distribution(batch.observations))
    found = sb3.distribution
    return [torchs(part) for part in (found if isinstance(found, list) else [found])]


def torchs(distribution: Any) -> Any:
    """The same as a class of torch, whose divergence is not ours."""
    kind = {LogCategorical: Categorical, LogBernoulli: Bernoulli}.get(type(distribution))
    return distribution if kind is None else kind(logits=distribution.logits)


def mean_kl(olds: list[Any], news: list[Any]) -> float:
    """Mean over the rollout's steps of the KL divergence of whole actions."""
    parts = [kl_divergence(old, new) for old, new in zip(olds, news, strict=True)]
    return float(sum(part.reshape(len(part), -1).sum(dim=1).mean() for part in parts))


@pytest.mark.usefixtures("recurrence")
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_first_order_step_is_shortened_until_it_keeps_the_bound(env: str) -> None:
    model = trpo(env, learning_rate=0.03, target_kl=1e-3)
    collect(model)
    olds = distributions(model)
    places = [parameter.data_ptr() for parameter in model.policy.parameters()]

    model.train()

    assert [parameter.data_ptr() for parameter in model.policy.parameters()] == places
    logged = model.logger.name_to_value
    kl = mean_kl(olds, distributions(model))
    assert logged["train/kl_before_line_search"] > 1e-3
    assert logged["train/step_fraction"] in [0.5**i for i in range(1, 10)]
    assert logged["train/is_line_search_success"] == 1
    assert 0 < kl <= 1e-3
    assert logged["train/kl_divergence_loss"] == pytest.approx(kl, rel=1e-2)


@pytest.mark.usefixtures("recurrence")
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_natural_step_keeps_the_bound_and_uses_it(env: str) -> None:
    model = trpo(env, target_kl=1e-3, **NATURAL)
    collect(model)
    olds = distributions(model)

    model.train()

    kl = mean_kl(olds, distributions(model))
    assert model.logger.name_to_value["train/is_line_search_success"] == 1
    assert 1e-4 < kl <= 1e-3
    assert model.target_kl == 1e-3


def test_a_policy_that_is_all_but_sure_moves_as_far() -> None:
    """Some of its probabilities round to 1 after the step, and not before it."""
    model = trpo("multi-binary", target_kl=1e-3, **NATURAL)
    head: Any = model.policy.action_net
    with th.no_grad():
        head.bias[0] += 16.0
    collect(model)
    model.train()
    assert 1e-4 < model.logger.name_to_value["train/kl_divergence_loss"] <= 1e-3


@pytest.mark.parametrize("options", [{}, NATURAL])
def test_a_step_improves_the_surrogate(options: dict[str, Any]) -> None:
    model = trpo(target_kl=1e-3, **options)
    collect(model)
    (batch,) = model.rollout_buffer.get(None)
    advantages = (batch.advantages - batch.advantages.mean()) / batch.advantages.std()

    model.train()

    actions = batch.actions.long().flatten()
    with th.no_grad():
        log_prob = model.policy.get_distribution(batch.observations).log_prob(actions)
    gain = float((th.exp(log_prob - batch.old_log_prob) * advantages).mean())
    assert gain > 0.001
    assert model.logger.name_to_value["train/policy_objective"] == pytest.approx(gain, abs=1e-3)


@pytest.mark.parametrize("found", [(0.0, -1.0), (0.0, 0.0), (1.0, 1.0), (float("nan"), 1.0)])
def test_the_policy_stays_where_no_step_helps(
    found: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trpo()
    collect(model)
    policy, value = weights(model, value=False), weights(model, value=True)
    monkeypatch.setattr(model, "_kl_and_objective", lambda: found)

    model.train()

    assert same(weights(model, value=False), policy)
    assert not same(weights(model, value=True), value)
    logged = model.logger.name_to_value
    assert logged["train/is_line_search_success"] == 0
    assert logged["train/step_fraction"] == 0


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("algorithm", "options"),
    [(RL2PPO, {}), (RL2TRPO, {}), (RL2TRPO, NATURAL)],
)
def test_without_advantages_only_the_value_learns(
    algorithm: type[Model], options: dict[str, Any], shared: bool
) -> None:
    if shared and algorithm is RL2PPO:
        return  # nothing keeps a shared network where it is
    model = make_model("bandit", algorithm, network={"shared": shared}, ent_coef=0.0, **options)
    collect(model)
    model.rollout_buffer.advantages[:] = 0
    policy, value = weights(model, value=False), weights(model, value=True)

    model.train()

    assert same(weights(model, value=False), policy)
    assert not any(map(th.equal, weights(model, value=True), value))
    if algorithm is RL2TRPO:
        assert model.logger.name_to_value["train/is_line_search_success"] == 0


@pytest.mark.usefixtures("recurrence")
@pytest.mark.parametrize("env", ["bandit", "box", "multi-discrete", "multi-binary"])
@pytest.mark.parametrize("weight_norm", [False, True])
def test_fisher_products_are_exact_second_derivatives(
    env: str, weight_norm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trpo(env, network={"weight_norm": weight_norm}, cg_damping=0.25)
    collect(model)
    parameters = model.policy.actor_parameters()
    before = weights(model, value=False)
    generator = th.Generator().manual_seed(0)
    vector = th.randn(sum(p.numel() for p in parameters), generator=generator)
    chunks = [batch.observations for batch in model._chunks()]
    with th.no_grad():
        model._old = [copy.copy(model.policy.get_distribution(obs)) for obs in chunks]

    product = model.hessian_vector_product(parameters, vector, vector)

    assert same(weights(model, value=False), before)
    monkeypatch.setattr(gru_module, "gru_sequence", plain_gru)
    (batch,) = model.rollout_buffer.get(None)
    olds = distributions(model)
    news = model.policy.get_distribution(batch.observations).distribution
    parts = zip(olds, news if isinstance(news, list) else [news], strict=True)
    divergences = [kl_divergence(old, new) for old, new in parts]
    rows = len(batch.advantages)
    mean = th.stack([divergence.sum() / rows for divergence in divergences]).sum()
    slope = th.cat([g.flatten() for g in th.autograd.grad(mean, parameters, create_graph=True)])
    exact = th.cat([g.flatten() for g in th.autograd.grad(slope @ vector, parameters)])
    assert exact.norm() > 0.1
    assert (product - 0.25 * vector - exact).norm() < 0.01 * exact.norm()


def test_a_broken_update_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trpo("box", step="conjugate-gradient")
    collect(model)
    monkeypatch.setattr(model, "_kl_gradient", lambda params: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        model.train()

    assert model.target_kl == 0.01
    assert not hasattr(model, "_old")


def test_schedules_follow_the_training() -> None:
    asked: dict[str, list[float]] = {"entropy": [], "clip": []}

    def schedule(name: str) -> Any:
        def value(left: float) -> float:
            asked[name].append(left)
            return 0.1 * left

        return value

    model = trpo(ent_coef=schedule("entropy"), clip_range=schedule("clip"), n_epochs=1)
    asked["entropy"].clear()
    asked["clip"].clear()

    model.learn(4 * 8 * 5)

    assert asked["entropy"] == asked["clip"] == pytest.approx([0.75, 0.5, 0.25, 0])


def test_entropy_bonus_raises_the_entropy() -> None:
    def entropy(ent_coef: float) -> float:
        model = trpo(ent_coef=ent_coef, target_kl=1.0, learning_rate=0.01)
        collect(model)
        model.train()
        (batch,) = model.rollout_buffer.get(None)
        values = model.policy.get_distribution(batch.observations).entropy()
        assert values is not None
        return float(values.detach().mean())

    assert entropy(1.0) > entropy(0.3) > entropy(0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": "second-order"}, "step='second-order': use 'first-order' or"),
        (
            {"step": "conjugate-gradient", "network": {"precision": "bf16"}},
            "precision='bf16' is too coarse",
        ),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trpo(**options)


def test_advantages_are_standardised_over_the_whole_rollout() -> None:
    model = trpo(n_epochs=1)
    collect(model)
    model.rollout_buffer.advantages[:] = np.arange(8)[:, None] * 10.0

    model.train()

    advantages = model.rollout_buffer.advantages
    assert advantages.mean() == pytest.approx(0, abs=1e-6)
    assert advantages.std() == pytest.approx(1)


def test_the_fisher_matrix_over_a_share_is_that_of_its_first_columns() -> None:
    """A product over half of the columns is that of a rollout that has no others."""
    model = trpo(cg_damping=0.0, cg_share=0.5)
    collect(model)
    parameters = model.policy.actor_parameters()
    vector = th.ones(sum(p.numel() for p in parameters))
    chunks = list(model._chunks())
    with th.no_grad():
        old = [copy.copy(model.policy.get_distribution(batch.observations)) for batch in chunks]

    def product(share: float, olds: list[Distribution]) -> th.Tensor:
        model.cg_share, model._old = share, olds
        return model.hessian_vector_product(parameters, vector, vector)

    share = product(0.5, old)
    assert len(old) == 3  # of two columns, two and one
    assert not th.allclose(share, product(1.0, old), rtol=1e-3)
    assert th.equal(share, product(1.0, old[:2]))
    assert th.equal(product(0.01, old), product(1.0, old[:1]))
