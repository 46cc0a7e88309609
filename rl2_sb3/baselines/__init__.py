"""Agents that know the task's form, with SB3's ``predict``: limits and rivals of RL²."""

from rl2_sb3.baselines.bandits import UCB1, BanditAgent, EpsilonGreedy, Greedy, IndexAgent
from rl2_sb3.baselines.gittins import Gittins
from rl2_sb3.baselines.optimum import BayesOptimum
from rl2_sb3.baselines.random import RandomActions
from rl2_sb3.baselines.thompson import (
    OptimisticThompsonDensity,
    OptimisticThompsonMean,
    ThompsonSampling,
)

__all__ = [
    "UCB1",
    "BanditAgent",
    "BayesOptimum",
    "EpsilonGreedy",
    "Gittins",
    "Greedy",
    "IndexAgent",
    "OptimisticThompsonDensity",
    "OptimisticThompsonMean",
    "RandomActions",
    "ThompsonSampling",
]
