"""Distributions without torch's checks are those of torch."""

import copy
from typing import Any

import pytest
import torch as th
from stable_baselines3.common.distributions import (
    BernoulliDistribution,
    CategoricalDistribution,
    MultiCategoricalDistribution,
)
from stable_baselines3.common.distributions import kl_divergence as sb3_divergence
from torch.distributions import Bernoulli, Categorical, kl_divergence

from rl2_sb3.policies.distributions import LogBernoulli, LogCategorical, unchecked

KINDS = ((LogCategorical, Categorical), (LogBernoulli, Bernoulli))


def test_they_are_torchs() -> None:
    logits = th.randn(5, 4, requires_grad=True)
    logits.data[0, 1] = -th.inf  # an action that is ruled out
    ours, theirs = LogCategorical(logits), Categorical(logits=logits)
    theirs_entropy = theirs.entropy()  # type: ignore[no-untyped-call]
    actions = th.tensor([0, 1, 2, 3, 0])

    theirs_log_prob = theirs.log_prob(actions)  # type: ignore[no-untyped-call]
    th.testing.assert_close(ours.log_prob(actions), theirs_log_prob)
    th.testing.assert_close(ours.entropy(), theirs_entropy)
    th.testing.assert_close(ours.probs, theirs.probs)
    assert (kl_divergence(ours, theirs)[1:].abs() < 1e-6).all()
    (gradient,) = th.autograd.grad(ours.entropy()[1:].sum(), logits)
    (expected,) = th.autograd.grad(theirs_entropy[1:].sum(), logits)
    th.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(("ours", "theirs"), KINDS)
def test_divergences_are_torchs(ours: type, theirs: type) -> None:
    old, new = th.randn(5, 4), th.randn(5, 4, requires_grad=True)
    found = kl_divergence(ours(old), ours(new))
    expected = kl_divergence(theirs(logits=old), theirs(logits=new))
    th.testing.assert_close(found, expected)
    th.testing.assert_close(*(th.autograd.grad(kl.sum(), new)[0] for kl in (found, expected)))


@pytest.mark.parametrize(
    ("ours", "old", "new"),
    [(LogCategorical, [103.0, 0.0], [104.5, 0.0]), (LogBernoulli, [16.0], [18.0])],
)
def test_a_probability_that_rounds_to_zero_makes_no_divergence_infinite(
    ours: type, old: list[float], new: list[float]
) -> None:
    """What is hardly ever done becomes rarer still."""
    logits = th.tensor([new], requires_grad=True)
    kl = kl_divergence(ours(th.tensor([old])), ours(logits))
    assert abs(kl.item()) < 1e-6
    assert th.autograd.grad(kl.sum(), logits)[0].isfinite().all()


@pytest.mark.parametrize(
    ("theirs", "old", "new"),
    [
        (CategoricalDistribution(4), [103, 0, 0, 0], [104.5, 0, 0, 0]),
        (MultiCategoricalDistribution([2, 2]), [103, 0, 103, 0], [104.5, 0, 104.5, 0]),
        (BernoulliDistribution(4), [16, 16, 16, 16], [18, 18, 18, 18]),
    ],
)
def test_policies_take_them(theirs: Any, old: list[float], new: list[float]) -> None:
    """They are SB3's, but for divergences that are infinite there."""

    def made(kind: Any, logits: th.Tensor) -> Any:
        return copy.copy(kind.proba_distribution(logits))

    ours, logits = unchecked(theirs), th.randn(3, 4)
    of_ours, of_theirs = made(ours, logits), made(theirs, logits)
    actions = of_theirs.sample()
    th.testing.assert_close(of_ours.log_prob(actions), of_theirs.log_prob(actions))
    th.testing.assert_close(of_ours.entropy(), of_theirs.entropy())
    th.testing.assert_close(of_ours.mode(), of_theirs.mode())
    for kind, infinite in ((ours, False), (theirs, True)):
        pair = (made(kind, th.tensor([each], dtype=th.float32)) for each in (old, new))
        assert sb3_divergence(*pair).isinf().all() == infinite


def test_an_action_that_is_ruled_out_adds_nothing_and_one_that_becomes_so_everything() -> None:
    ruled_out = th.tensor([0.0, 0.0, -th.inf])
    new = th.tensor([1.0, 0.0, -th.inf], requires_grad=True)
    kl = kl_divergence(LogCategorical(ruled_out), LogCategorical(new))
    assert kl.item() == pytest.approx(float(th.log(th.tensor(1 + th.e) / 2) - 0.5))
    assert th.autograd.grad(kl, new)[0].isfinite().all()
    assert kl_divergence(LogCategorical(th.zeros(3)), LogCategorical(ruled_out)) == th.inf
    hardly = th.tensor([0.0, 0.0, -200.0])  # whose probability is 0, but not its logit
    assert kl_divergence(LogCategorical(hardly), LogCategorical(ruled_out)) == 0
