"""Trials: episodes with one task laid end to end, seen as one Gymnasium episode."""

from rl2_sb3.trials.batched import BatchedTrials
from rl2_sb3.trials.callback import TrialCallback
from rl2_sb3.trials.make import make_trials
from rl2_sb3.trials.play import PlayedStep, play
from rl2_sb3.trials.spaces import trial_space
from rl2_sb3.trials.steps import TrialStep
from rl2_sb3.trials.wrapper import TrialWrapper

__all__ = [
    "BatchedTrials",
    "PlayedStep",
    "TrialCallback",
    "TrialStep",
    "TrialWrapper",
    "make_trials",
    "play",
    "trial_space",
]
