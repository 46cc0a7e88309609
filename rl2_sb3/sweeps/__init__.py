"""Sweeps over the parameters of our commands, in W&B's format, on Optuna."""

from rl2_sb3.sweeps.baselines import SPLITS, Score, check_point, score
from rl2_sb3.sweeps.claims import Claims
from rl2_sb3.sweeps.file import Sweep, load_sweep
from rl2_sb3.sweeps.results import Best, best_points, failures, write_points
from rl2_sb3.sweeps.study import Job, run_sweep
from rl2_sb3.sweeps.workers import Workers

__all__ = [
    "SPLITS",
    "Best",
    "Claims",
    "Job",
    "Score",
    "Sweep",
    "Workers",
    "best_points",
    "check_point",
    "failures",
    "load_sweep",
    "run_sweep",
    "score",
    "write_points",
]
