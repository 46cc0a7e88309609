"""Where training stands between two rollouts: noise, memory and trials, to be gone on with."""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Iterable
from copy import copy
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import SubprocVecEnv

from rl2_sb3 import ranks
from rl2_sb3.algorithms.alone import Clock, clock
from rl2_sb3.algorithms.buffers import TrialRolloutBuffer
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.trials.make import seed_trials
from rl2_sb3.trials.steps import normalised

FORMAT = 2
"""Of checkpoints; 1: the policy's options had other defaults."""
IN_A_ROLLOUT = (
    *("num_timesteps", "_last_obs", "_last_episode_starts", "ep_info_buffer"),
    "ep_success_buffer",
)
"""Attributes that change while a rollout is collected; the others change at its end."""


OF_A_RANK = ("resume_state", "_last_obs", "_last_episode_starts")
"""Attributes in which ranks differ."""


class ResumedTraining(OnPolicyAlgorithm):
    """An on-policy algorithm on trials that knows where it stands, and goes on from there."""

    policy: GRUPolicy
    rollout_buffer: TrialRolloutBuffer
    resume_state: dict[str, Any]
    _memory: th.Tensor
    _clock: Clock | None = None
    """Steps and resets of the trials after our last step; None: they have not been counted."""

    def _write(
        self, path: Any, exclude: Iterable[str] | None, include: Iterable[str] | None
    ) -> None:
        raise NotImplementedError

    def current_memory(self) -> th.Tensor:
        """The memory after the last step, ``(columns, memory_size)``.

        A value network of its own goes over a rollout at its end; within one, its part of the
        memory is made up for here.
        """
        buffer, policy, memory = self.rollout_buffer, self.policy, self._memory
        if policy.config.shared or buffer.followed or buffer.pos == 0:
            return memory
        obs: Any = {
            key: th.as_tensor(part[: buffer.pos].reshape(-1, *part.shape[2:]), device=self.device)
            for key, part in buffer.observations.items()
        }
        with th.no_grad():
            _, followed = policy.follow_values({**obs, "memory": buffer.memory})
        value = policy.layout.split(followed).value
        return policy.layout.split(memory)._replace(value=value).join()

    def gather_states(self) -> None:
        """Add to the resume state where the other ranks stand, on the first one; all call this."""
        if ranks.size() == 1:
            return
        states = ranks.gather({name: getattr(self, name) for name in OF_A_RANK})
        self.resume_state = {**self.resume_state, "others": states[1:]}

    def mark(self, trials: list[Any] | None = None) -> dict[str, Any]:
        """Where training stands between two rollouts, for :meth:`save_marked`.

        :param trials: the states of the environments, which are asked where this is not given
        :raises OSError: the environments do not answer
        :raises EOFError: the same
        """
        marked = {name: copy(getattr(self, name)) for name in IN_A_ROLLOUT}
        return {**marked, "resume_state": self._get_resume_state(trials, exact=True)}

    def save_marked(self, path: str | pathlib.Path, mark: dict[str, Any]) -> None:
        """Save the model as it was at the beginning of the rollout in progress.

        That rollout is lost, and so is this model for further training. The environments, which may
        be dead, are not asked. All ranks call this: the first writes, with the others' states.

        :param mark: what :meth:`mark` gave; there must have been no update since
        """
        for name, value in mark.items():
            setattr(self, name, value)
        self.gather_states()
        ranks.together(lambda: self._write(path, None, None), first_alone=True)

    def take_up_log(self) -> None:
        """Tell the logger what it had been told, but had not written, when the model was saved."""
        values, counts, excluded = self.resume_state.get("log", ({}, {}, {}))
        self.logger.name_to_value.update(values)
        self.logger.name_to_count.update(counts)
        self.logger.name_to_excluded.update(excluded)

    def _get_resume_state(
        self, trials: list[Any] | None = None, exact: bool = False
    ) -> dict[str, Any]:
        state: dict[str, Any] = {
            "format": FORMAT,
            "ranks": ranks.size(),
            "algorithm": type(self).__name__,
            "torch_rng": th.get_rng_state().numpy(),
            "memory": self.current_memory().cpu().numpy().copy(),
        }
        if hasattr(self, "_logger"):
            log = self.logger
            state["log"] = (
                *(dict(log.name_to_value), dict(log.name_to_count)),
                dict(log.name_to_excluded),
            )
        if self.device.type == "cuda":
            state["cuda_rng"] = th.cuda.get_rng_state(self.device).numpy()
        if trials is None and self.env is not None:
            trials = self._get_trials(exact)
        if trials is not None:
            state["trials"] = trials
        scaled = normalised(self.env)
        if scaled is not None:
            state["reward_scale"] = {"returns": scaled.returns, **vars(scaled.ret_rms)}
        return state

    def _get_trials(self, exact: bool) -> list[Any] | None:
        """Where the trials stand; None where nobody can tell, or where others have moved them."""
        assert self.env is not None
        inner = self.env.unwrapped
        try:
            if isinstance(inner, SubprocVecEnv) and inner.waiting:
                raise EOFError("a step is not over")  # what comes first would be its results
            if self._clock is not None and not np.array_equal(clock(self.env), self._clock):
                return None
            trials: list[Any] = self.env.env_method("get_state")
        except (OSError, EOFError) as error:
            if exact:
                raise
            warnings.warn(
                f"Saved without its trials, since the environment does not answer ({error}): load "
                "it with force_reset=True, which begins new ones.",
                stacklevel=4,
            )
            return None
        return trials

    def take_own_state(self) -> None:
        """Of a checkpoint's states, keep that of this rank.

        :raises ValueError: it holds that of the first rank alone
        """
        others = self.resume_state.pop("others", None)
        if ranks.size() > 1 and others is None:
            raise ValueError(
                "It holds the trials of the first rank alone: let all ranks call save(path, "
                "exact=True), or use force_reset=True, which begins new ones."
            )
        if not ranks.is_first():
            for name, value in others[ranks.rank() - 1].items():
                setattr(self, name, value)

    def begin_other_trials(self) -> None:
        """Seed trials and actions otherwise than at the beginning, and on each rank."""
        if self.seed is None or self.env is None:
            return
        seed = ranks.seed(self.seed + self.num_timesteps)
        th.manual_seed(seed)
        seed_trials(self.env, seed)

    def _set_resume_state(self, state: dict[str, Any]) -> None:
        assert self.env is not None
        if "trials" not in state:
            raise ValueError(
                "It was saved without its trials (without an environment, or with one that was "
                "closed, had died or was stepped by others): use force_reset=True, which begins "
                "new ones."
            )
        self.env.env_method("reset")  # a Monitor around the trials steps no other ones
        same = [
            all(self.env.env_method("set_state", trials, indices=[column]))
            for column, trials in enumerate(state["trials"])
        ]
        if not all(same):
            warnings.warn(
                f"{same.count(False)} of {len(same)} environments do not do the same again with "
                "the same seed and actions: all trials begin anew, and the run is not exactly the "
                "one that was interrupted.",
                stacklevel=3,
            )
            self._last_obs = None
        scaled = normalised(self.env)
        if scaled is not None and "reward_scale" in state:
            statistics = dict(state["reward_scale"])
            scaled.returns = statistics.pop("returns")
            vars(scaled.ret_rms).update(statistics)
        self._memory = th.as_tensor(state["memory"], device=self.device)
        th.set_rng_state(th.as_tensor(state["torch_rng"]))
        if self.device.type == "cuda" and "cuda_rng" in state:
            th.cuda.set_rng_state(th.as_tensor(state["cuda_rng"]), self.device)
        self._clock = clock(self.env)
