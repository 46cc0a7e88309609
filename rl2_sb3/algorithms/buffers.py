"""A rollout is a block of steps x columns; a minibatch is a set of its columns."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples

from rl2_sb3 import ranks
from rl2_sb3.algorithms.finite import Block
from rl2_sb3.algorithms.visits import visit_bonus
from rl2_sb3.policies.popart import Statistics, normalise
from rl2_sb3.trials.spaces import OBSERVATION

PER_COLUMN = ("memory", "last_value_state")
"""What prepared observations hold once for each column, not for each step."""
Prepare = Callable[[dict[str, th.Tensor]], dict[str, th.Tensor]]


class TrialRolloutBuffer(DictRolloutBuffer):
    """Time-major block in which trials lie end to end, with the memory at its start.

    Trials may begin and end anywhere in the block: nothing is padded and no step thrown away.
    Values and returns are stored in units of reward, and handed out in the value network's, which
    ``statistics`` tell.
    """

    memory: th.Tensor
    value_lambda: float | None = None
    """Lambda of the returns that the value network learns from; None: that of the advantages."""
    statistics = Statistics(scale=1.0)
    prepare: Prepare = staticmethod(lambda observations: observations)
    """Computes once, for all minibatches, what the parameters have no part in."""
    followed: bool = False
    """Whether a value network of its own has gone over the block."""
    _prepared: dict[str, th.Tensor] | None = None

    def reset(self) -> None:
        """Empty the buffer for the next rollout."""
        super().reset()
        self._prepared, self.followed = None, False

    def put(
        self,
        obs: dict[str, NDArray[Any]],
        actions: NDArray[Any],
        rewards: NDArray[np.floating],
        log_probs: th.Tensor,
    ) -> None:
        """Add a step of every column; values are filled in when the block is full."""
        for key, part in self.observations.items():
            part[self.pos] = obs[key].reshape(part[self.pos].shape)
        self.actions[self.pos] = actions.reshape(self.n_envs, self.action_dim)
        self.rewards[self.pos] = rewards
        self.episode_starts[self.pos] = obs["start"][:, 0]
        self.log_probs[self.pos] = log_probs.cpu().numpy()
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def add_visit_bonus(self, coefficient: float) -> None:
        """Add :func:`~rl2_sb3.algorithms.visits.visit_bonus` to the rewards.

        :param coefficient: in units of the rewards, which a VecNormalize may have scaled
        """
        states = self.observations[OBSERVATION].reshape(self.buffer_size, self.n_envs)
        bonus = visit_bonus(states, self.actions[..., 0], self.episode_starts)
        self.rewards += np.float32(coefficient) * bonus

    def block(self, last: Any) -> Block:
        """What is in the buffer by now.

        :param last: the observation after it
        """
        so_far = {key: part[: self.pos] for key, part in self.observations.items()}
        return Block(so_far, last, self.rewards[: self.pos])

    def compute_returns_and_advantage(self, last_values: th.Tensor, dones: NDArray[Any]) -> None:
        """Advantages by GAE; returns by the same with a lambda of their own."""
        super().compute_returns_and_advantage(last_values, dones)
        if self.value_lambda is not None and self.value_lambda != self.gae_lambda:
            advantages, gae_lambda = self.advantages, self.gae_lambda
            self.advantages, self.gae_lambda = np.empty_like(advantages), self.value_lambda
            super().compute_returns_and_advantage(last_values, dones)
            self.advantages, self.gae_lambda = advantages, gae_lambda

    def get(  # type: ignore[override]
        self, batch_size: int | None = None
    ) -> Generator[DictRolloutBufferSamples, None, None]:
        """Minibatches of whole columns, in random order.

        Their sizes differ by one column at most: a small rest would be a noisy step. Each rank
        draws an order of its own columns, and a minibatch is what the ranks have at the same place.

        :param batch_size: in steps of all ranks, a multiple of the block's length, not to be
            exceeded; ``None`` for the whole block
        :return: samples whose rows are time-major, ``steps * columns``, see
            :mod:`rl2_sb3.policies.blocks`
        """
        assert self.full, "the rollout is not complete"
        if batch_size is None:
            yield self.columns(np.arange(self.n_envs))
            return
        batches = -(-self.n_envs * ranks.size() // (batch_size // self.buffer_size))
        for columns in np.array_split(th.randperm(self.n_envs).numpy(), batches):
            yield self.columns(columns)

    def columns(self, columns: NDArray[np.intp]) -> DictRolloutBufferSamples:
        """The block's columns with the given numbers."""
        if self._prepared is None:
            self._prepared = self._prepare()
        chosen = th.as_tensor(columns, device=self.device)
        whole = np.array_equal(columns, np.arange(self.n_envs))

        def rows(array: th.Tensor | NDArray[Any]) -> th.Tensor:
            part = th.as_tensor(array)  # an array's columns are chosen where it lies
            part = part if whole else part.index_select(1, chosen.to(part.device))
            return part.flatten(0, 1).to(self.device)

        observations = {
            key: part.index_select(0, chosen) if key in PER_COLUMN else rows(part)
            for key, part in self._prepared.items()
        }
        return DictRolloutBufferSamples(
            observations=observations,
            actions=rows(self.actions).float(),
            old_values=normalise(rows(self.values), self.statistics),
            old_log_prob=rows(self.log_probs),
            advantages=rows(self.advantages),
            returns=normalise(rows(self.returns), self.statistics),
        )

    def _prepare(self) -> dict[str, th.Tensor]:
        """The block's observations, prepared: ``(steps, columns, ...)``, and ``memory``."""
        tensors = {
            key: th.as_tensor(part.reshape(-1, *part.shape[2:]), device=self.device)
            for key, part in self.observations.items()
        }
        with th.no_grad():
            prepared = self.prepare({**tensors, "memory": self.memory})
        shape = (self.buffer_size, self.n_envs)
        return {
            key: part if key in PER_COLUMN else part.view(*shape, *part.shape[1:])
            for key, part in prepared.items()
        }
