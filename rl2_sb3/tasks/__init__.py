"""Distributions over MDPs. Nothing here knows about learning."""

from typing import TYPE_CHECKING

from rl2_sb3.lazy import importer
from rl2_sb3.tasks.bandits import BernoulliBandit
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.tasks.mdp_env import GymTabularMDP
from rl2_sb3.tasks.mdps import MDPs, TabularMDP

if TYPE_CHECKING:
    from rl2_sb3.tasks.check import check_tasks

__all__ = [
    "BatchedTasks",
    "BernoulliBandit",
    "GymTabularMDP",
    "GymTasks",
    "MDPs",
    "TabularMDP",
    "check_tasks",
]

__getattr__ = importer(__name__, {"check": ("check_tasks",)})  # which needs SB3, so torch
