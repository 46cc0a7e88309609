"""Recurrent policies as stable-baselines3 policies."""

from rl2_sb3.policies.gru import GRU, Candidate, Precision, gru_sequence
from rl2_sb3.policies.policies import CnnGRUPolicy, GRUPolicy, ValueNetwork

__all__ = [
    "GRU",
    "Candidate",
    "CnnGRUPolicy",
    "GRUPolicy",
    "Precision",
    "ValueNetwork",
    "gru_sequence",
]
