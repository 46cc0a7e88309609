"""Half-cheetahs as arrays: Gymnasium's robot, hundreds of them in one process.

Bit for bit what Gymnasium's environment does with the same actions (a test says so), without its
environments' cost in Python: one simulator goes from cheetah to cheetah. Rewards are those of Finn
et al. 2017, Rakelly et al. 2019 (PEARL) and Zintgraf et al. 2020 (VariBAD).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from numpy.typing import NDArray

from rl2_mujoco.pictures import CAMERA, draw
from rl2_sb3 import BatchedTasks

Floats = NDArray[np.float64]
HORIZON = 200
CONTROL = 0.05
"""Cost of the squared actions' sum."""
FASTEST = 3.0
"""Largest target velocity."""
NOISE = 0.1
"""Of the first pose and velocities, as in Gymnasium's environment."""
WIDTH, HEIGHT = 320, 240
"""Of pictures, in pixels."""
_Part = mujoco.mjtState
SIMULATED = int(
    _Part.mjSTATE_QPOS | _Part.mjSTATE_QVEL | _Part.mjSTATE_WARMSTART | _Part.mjSTATE_CTRL
)
"""All that the simulator's next step depends on."""


class Cheetahs(NamedTuple):
    """The episodes' states."""

    simulated: Floats  # (n, 33) positions, velocities, the solver's start, controls
    steps: NDArray[np.int64]  # (n,)


@dataclass
class _Cheetahs(BatchedTasks[Floats, Cheetahs]):
    """What both distributions have: the robot, and the length of an episode."""

    horizon: int = HORIZON
    """Steps of an episode, of .05 seconds each."""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon={self.horizon!r}: at least 1.")
        robot = HalfCheetahEnv(
            render_mode="rgb_array", width=WIDTH, height=HEIGHT, camera_name=CAMERA
        )
        self._robot, self._model, self._data = robot, robot.model, robot.data
        self._first = np.concatenate([robot.init_qpos, robot.init_qvel])
        self._frames, self._dt = robot.frame_skip, robot.dt
        self._size = mujoco.mj_stateSize(self._model, SIMULATED)
        seen = len(self._first) - 1
        self.observation_space: spaces.Space[Any] = spaces.Box(-np.inf, np.inf, (seen,))
        self.action_space: spaces.Space[Any] = spaces.Box(-1, 1, (self._model.nu,))

    @abstractmethod
    def pay(self, params: Floats, velocity: Floats) -> Floats:
        """The reward but for the control's cost, ``(n,)``."""

    def reset(
        self, params: Floats, rng: np.random.Generator
    ) -> tuple[Cheetahs, NDArray[np.float32]]:
        """Begin near the robot's first pose."""
        n, nq = len(params), self._model.nq
        noise = rng.uniform(-NOISE, NOISE, (n, nq)), NOISE * rng.normal(size=(n, self._model.nv))
        first = self._first + np.concatenate(noise, axis=1)
        simulated = np.empty((n, self._size))
        for begun, state in zip(first, simulated, strict=True):
            mujoco.mj_resetData(self._model, self._data)
            self._data.qpos[:], self._data.qvel[:] = begun[:nq], begun[nq:]
            mujoco.mj_forward(self._model, self._data)
            mujoco.mj_getState(self._model, self._data, state, SIMULATED)
        state = Cheetahs(simulated, np.zeros(n, np.int64))
        return state, self._seen(state)

    def step(
        self, params: Floats, state: Cheetahs, action: NDArray[Any], rng: np.random.Generator
    ) -> tuple[Cheetahs, NDArray[np.float32], Floats, NDArray[np.bool_]]:
        """Advance by .05 seconds."""
        simulated = state.simulated.copy()
        simulated[:, -self._model.nu :] = np.clip(action, -1, 1)
        for each in simulated:
            mujoco.mj_setState(self._model, self._data, each, SIMULATED)
            mujoco.mj_step(self._model, self._data, nstep=self._frames)
            mujoco.mj_getState(self._model, self._data, each, SIMULATED)
        velocity = (simulated[:, 0] - state.simulated[:, 0]) / self._dt
        cost = CONTROL * np.square(simulated[:, -self._model.nu :]).sum(axis=1)
        after = Cheetahs(simulated, state.steps + 1)
        reward = self.pay(params, velocity) - cost
        return after, self._seen(after), reward, after.steps >= self.horizon

    def render(self, params: Floats, state: Cheetahs) -> NDArray[np.uint8]:
        """A picture of the first cheetah.

        :raises RuntimeError: neither EGL nor OSMesa can draw here
        """
        mujoco.mj_setState(self._model, self._data, state.simulated[0], SIMULATED)
        mujoco.mj_forward(self._model, self._data)
        return draw(self._robot)

    def _seen(self, state: Cheetahs) -> NDArray[np.float32]:
        """Positions but for the one along the track, and velocities."""
        return state.simulated[:, 1 : len(self._first)].astype(np.float32)


@dataclass
class CheetahDirection(_Cheetahs):
    """A half-cheetah that is to run forward or backward, with equal chances.

    The reward is the velocity in that direction, less .05 times the sum of the squared actions.
    """

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw 1 or -1."""
        return rng.choice((-1.0, 1.0), n)

    def pay(self, params: Floats, velocity: Floats) -> Floats:
        """The velocity in the direction."""
        return params * velocity


@dataclass
class CheetahVelocity(_Cheetahs):
    """A half-cheetah that is to run forward as fast as the task says, from 0 to 3.

    The reward is minus the distance from that velocity, less .05 times the sum of the squared
    actions.
    """

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw velocities, uniform from 0 to 3."""
        return rng.uniform(0, FASTEST, n)

    def pay(self, params: Floats, velocity: Floats) -> Floats:
        """Minus the distance from the velocity."""
        return -np.abs(velocity - params)
