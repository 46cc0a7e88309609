"""A policy whose memory shows what was done to it."""

from __future__ import annotations

import torch as th

from rl2_sb3.memories import GRU
from rl2_sb3.policies import GRUPolicy


@th.no_grad()
def count_steps(policy: GRUPolicy) -> None:
    """Set the weights so that each unit counts the steps since it was reset: ``h <- h + 1``."""
    for gru in policy.modules():
        if isinstance(gru, GRU):
            gru.candidate = "relu"
            gru.weight_ih.zero_()
            gru.weight_hh.zero_()
            reset, update, candidate = gru.bias.chunk(3)
            reset.fill_(200)  # all of the state goes into the candidate,
            update.fill_(-200)  # nothing of it past the candidate,
            candidate.fill_(1)  # which adds 1
            gru.weight_hh[2 * gru.size :] = th.eye(gru.size)
