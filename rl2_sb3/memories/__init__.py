"""Memories: what carries a policy from step to step of a trial."""

from rl2_sb3.config import Candidate, Precision
from rl2_sb3.memories.actions import ActionGRU, ActionSums
from rl2_sb3.memories.base import Memory
from rl2_sb3.memories.fast_weights import FastWeights
from rl2_sb3.memories.gru import GRU, gru_sequence
from rl2_sb3.memories.linear import Linear
from rl2_sb3.memories.lstm import LSTM
from rl2_sb3.memories.native import GRUWeights
from rl2_sb3.memories.pairs import PairSums, TransitionGraph
from rl2_sb3.memories.sums import Sums
from rl2_sb3.memories.window import Window

__all__ = [
    "GRU",
    "LSTM",
    "ActionGRU",
    "ActionSums",
    "Candidate",
    "FastWeights",
    "GRUWeights",
    "Linear",
    "Memory",
    "PairSums",
    "Precision",
    "Sums",
    "TransitionGraph",
    "Window",
    "gru_sequence",
]
