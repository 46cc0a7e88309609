"""Distributions over MDPs. Nothing here knows about learning."""

from rl2_sb3.tasks.bandits import BernoulliBandit
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.tasks.check import check_tasks

__all__ = ["BatchedTasks", "BernoulliBandit", "GymTasks", "check_tasks"]
