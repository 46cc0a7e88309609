"""RL²: learning to reinforcement-learn with a recurrent policy, on stable-baselines3."""

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.policies import CnnGRUPolicy, GRUPolicy
from rl2_sb3.tasks import BatchedTasks, BernoulliBandit, GymTasks, check_tasks
from rl2_sb3.trials import BatchedTrials, TrialCallback, TrialWrapper, make_trials

__version__ = "0.1.0"

__all__ = [
    "RL2PPO",
    "RL2TRPO",
    "BatchedTasks",
    "BatchedTrials",
    "BernoulliBandit",
    "CnnGRUPolicy",
    "GRUPolicy",
    "GymTasks",
    "TrialCallback",
    "TrialWrapper",
    "check_tasks",
    "make_trials",
]
