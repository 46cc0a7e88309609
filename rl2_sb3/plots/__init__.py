"""Plots: logs and tables of runs in, figures out; nothing here imports torch."""

from rl2_sb3.plots.curves import adaptation_curve, imitation_curve, learning_curve

__all__ = ["adaptation_curve", "imitation_curve", "learning_curve"]
