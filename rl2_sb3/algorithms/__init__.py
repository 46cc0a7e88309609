"""RL2PPO and RL2TRPO: stable-baselines3's algorithms over trials."""

from rl2_sb3.algorithms.ppo import RL2PPO
from rl2_sb3.algorithms.trpo import RL2TRPO

__all__ = ["RL2PPO", "RL2TRPO"]
