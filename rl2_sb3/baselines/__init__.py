"""Agents that know the task's form, with SB3's ``predict``: limits and rivals of RL²."""

from rl2_sb3.baselines.bandits import UCB1, BanditAgent, EpsilonGreedy, Greedy, IndexAgent
from rl2_sb3.baselines.gittins import Gittins
from rl2_sb3.baselines.mdp_agent import CertainPlanner, MDPAgent
from rl2_sb3.baselines.mdps import BEB, OPSRL, PSRL, UCRL2, EpsilonGreedyMDP, GreedyMDP
from rl2_sb3.baselines.optimum import BayesOptimum
from rl2_sb3.baselines.random import RandomActions
from rl2_sb3.baselines.thompson import (
    OptimisticThompsonDensity,
    OptimisticThompsonMean,
    ThompsonSampling,
)

__all__ = [
    "BEB",
    "OPSRL",
    "PSRL",
    "UCB1",
    "UCRL2",
    "BanditAgent",
    "BayesOptimum",
    "CertainPlanner",
    "EpsilonGreedy",
    "EpsilonGreedyMDP",
    "Gittins",
    "Greedy",
    "GreedyMDP",
    "IndexAgent",
    "MDPAgent",
    "OptimisticThompsonDensity",
    "OptimisticThompsonMean",
    "RandomActions",
    "ThompsonSampling",
]
