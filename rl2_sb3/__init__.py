"""RL²: learning to reinforcement-learn with a recurrent policy, on stable-baselines3."""

from rl2_sb3.agent import Agent, load_agent
from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.evaluation import Evaluation, evaluate_trials
from rl2_sb3.policies import CnnGRUPolicy, GRUPolicy
from rl2_sb3.tasks import BatchedTasks, BernoulliBandit, GymTasks, check_tasks
from rl2_sb3.trials import BatchedTrials, TrialCallback, TrialWrapper, make_trials

__version__ = "0.1.0"

__all__ = [
    "RL2PPO",
    "RL2TRPO",
    "Agent",
    "BatchedTasks",
    "BatchedTrials",
    "BernoulliBandit",
    "CnnGRUPolicy",
    "Evaluation",
    "GRUPolicy",
    "GymTasks",
    "TrialCallback",
    "TrialWrapper",
    "check_tasks",
    "evaluate_trials",
    "load_agent",
    "make_trials",
]
