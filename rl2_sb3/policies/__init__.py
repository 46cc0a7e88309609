"""Recurrent policies as stable-baselines3 policies."""

from rl2_sb3.policies.policies import CnnGRUPolicy, GRUPolicy

__all__ = ["CnnGRUPolicy", "GRUPolicy"]
