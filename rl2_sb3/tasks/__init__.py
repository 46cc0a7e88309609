"""Distributions over MDPs. Nothing here knows about learning."""

from rl2_sb3.tasks.bandits import BernoulliBandit
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.tasks.mdp_env import GymTabularMDP
from rl2_sb3.tasks.mdps import MDPs, TabularMDP
from rl2_sb3.tasks.step_info import StepInfo

__all__ = [
    "BatchedTasks",
    "BernoulliBandit",
    "GymTabularMDP",
    "GymTasks",
    "MDPs",
    "StepInfo",
    "TabularMDP",
]
