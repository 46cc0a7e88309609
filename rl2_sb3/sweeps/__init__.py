"""Sweeps over the parameters of baselines: the file, the objective, the study."""

from rl2_sb3.sweeps.file import Sweep, load_sweep
from rl2_sb3.sweeps.objective import SPLITS, Score, check_point, score
from rl2_sb3.sweeps.queue import work
from rl2_sb3.sweeps.study import best_points, processes, run_sweep, write_points

__all__ = [
    "SPLITS",
    "Score",
    "Sweep",
    "best_points",
    "check_point",
    "load_sweep",
    "processes",
    "run_sweep",
    "score",
    "work",
    "write_points",
]
