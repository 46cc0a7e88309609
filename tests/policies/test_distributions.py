"""Distributions without torch's checks are those of torch."""

import torch as th
from torch.distributions import Categorical, kl_divergence

from rl2_sb3.policies.distributions import LogCategorical


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
