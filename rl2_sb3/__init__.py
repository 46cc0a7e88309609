"""RL²: learning to reinforcement-learn with a recurrent policy, on stable-baselines3.

The public names are imported when they are first used: the command line need not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl2_sb3.agent import Agent, load_agent
    from rl2_sb3.algorithms import RL2PPO, RL2TRPO
    from rl2_sb3.evaluation import Evaluation, evaluate_trials
    from rl2_sb3.policies import CnnGRUPolicy, GRUPolicy
    from rl2_sb3.tasks import BatchedTasks, BernoulliBandit, GymTasks
    from rl2_sb3.testing import check_tasks
    from rl2_sb3.tracking.callback import TrackingCallback
    from rl2_sb3.trials import BatchedTrials, TrialCallback, TrialWrapper, make_trials

__version__ = "0.2.0"

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
    "TrackingCallback",
    "TrialCallback",
    "TrialWrapper",
    "check_tasks",
    "evaluate_trials",
    "load_agent",
    "make_trials",
]

HOMES = {
    "agent": ("Agent", "load_agent"),
    "algorithms": ("RL2PPO", "RL2TRPO"),
    "evaluation": ("Evaluation", "evaluate_trials"),
    "policies": ("CnnGRUPolicy", "GRUPolicy"),
    "tasks": ("BatchedTasks", "BernoulliBandit", "GymTasks"),
    "testing": ("check_tasks",),
    "tracking.callback": ("TrackingCallback",),
    "trials": ("BatchedTrials", "TrialCallback", "TrialWrapper", "make_trials"),
}
"""Where each of them is defined."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        for module, names in HOMES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
