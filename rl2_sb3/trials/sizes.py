"""Lengths of trials, rollouts and minibatches."""

from __future__ import annotations

from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3 import ranks
from rl2_sb3.trials.batched import BatchedTrials


def rollout_size(
    trials: VecEnv | None, n_steps: int | None, batch_size: int | None
) -> tuple[int, int]:
    """Length of a rollout and steps of a minibatch, checked, or chosen where ``None``.

    :param trials: of this rank; a minibatch is of all ranks together

    :raises ValueError: an empty rollout, or a minibatch that cuts columns
    """
    of_a_rank = 1 if trials is None else trials.num_envs
    n_envs = of_a_rank * ranks.size()
    if n_steps is None:
        length = trial_length(trials)
        n_steps = max(128, 2048 // n_envs) if length is None else length
    if n_steps < 1:
        raise ValueError(f"n_steps={n_steps}: at least 1.")
    if batch_size is None:
        columns = max(-(-n_envs // 4), ranks.size(), 2 if n_steps == 1 else 1)
        batch_size = n_steps * columns
    if batch_size < n_steps or batch_size % n_steps:
        raise ValueError(
            f"batch_size={batch_size} cuts trials: use a multiple of n_steps={n_steps}, which is "
            "one column of the rollout."
        )
    if batch_size // n_steps < ranks.size():
        raise ValueError(
            f"batch_size={batch_size}: a minibatch of {batch_size // n_steps} columns cannot be "
            f"shared by {ranks.size()} ranks: use {ranks.size()} columns at least, or fewer ranks."
        )
    if n_steps * n_envs == 1 or batch_size == 1:
        raise ValueError(
            f"n_steps={n_steps}, n_envs={n_envs}, batch_size={batch_size}: a minibatch needs two "
            "steps at least, since advantages are normalised."
        )
    return n_steps, batch_size


def trial_length(trials: VecEnv | None) -> int | None:
    """Steps of a trial where all trials have the same, else ``None``."""
    if trials is None or not isinstance(trials.unwrapped, BatchedTrials):
        return None
    return trials.unwrapped.trial_length
