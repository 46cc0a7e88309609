"""A ViZDoom engine that plays mazes: one process, started when needed, and again when lost."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import vizdoom as vzd
from numpy.typing import NDArray

from rl2_vizdoom.folder import process_folder, wad_file
from rl2_vizdoom.mazes import Maze
from rl2_vizdoom.wad import map_name

Button, Variable = vzd.Button, vzd.GameVariable

TURN = 5.625
"""Degrees a tic in exact movement: 1024 of the engine's 65536 units, so that angles stay exact."""
RESETS = 100_000
"""Episodes after which an engine is started afresh: it keeps some 0.4 kB of each."""
WARM_UP = 10
"""Tics before an episode begins: the engine ignores its first inputs."""

# The engine leaves a folder _vizdoom in its working directory, so it gets one of its own; and its
# process id and the name of its shared memory are what a janitor needs. Ctrl-C is for the
# program alone: an engine that it ended would take its trial along.
SCRIPT = """\
#!/bin/sh
cd "${{0%/*}}" || exit 1
for word; do [ "$last" = +viz_instance_id ] && echo "$word" > id; last=$word; done
echo $$ > pid
trap '' INT
exec {program} "$@"
"""
HIDDEN = [
    "hud",
    "crosshair",
    "weapon",
    "decals",
    "particles",
    "effects_sprites",
    "messages",
    "corpses",
    "screen_flashes",
    "minimal_hud",
]
CRASHES = (
    vzd.ViZDoomErrorException,
    vzd.ViZDoomUnexpectedExitException,
    vzd.ViZDoomIsNotRunningException,
    vzd.MessageQueueException,
    vzd.SharedMemoryException,
)

_STARTS = threading.Lock()
"""Two engines that start at once in two threads end the process, or wait for ever."""

SHARED_MEMORY = Path("/dev/shm")
NEEDED = 12_000_000
"""Bytes of shared memory that an engine takes."""

Sight = tuple[NDArray[np.uint8], list[float]]
"""The screen ``(120, 160, 3)``, and x, y (units), angle (degrees), velocity in x, y (units/tic)."""


class EngineLostError(RuntimeError):
    """The engine's process has died; the next :meth:`Engine.play` starts another."""


class Engine:
    """Plays a list of mazes, one at a time.

    :param mazes: what :meth:`play` numbers
    :param exact: with exact movement, in place of the engine's own
    :param frame_skip: tics that an action lasts
    """

    def __init__(self, mazes: Sequence[Maze], exact: bool, frame_skip: int):
        self._mazes = mazes
        self._exact = exact
        self._frame_skip = frame_skip
        turns: list[list[float]] = [[-TURN, 0], [TURN, 0]] if exact else [[1, 0, 0], [0, 1, 0]]
        self._actions = [*turns, [0, 1] if exact else [0, 0, 1]]
        self._game: vzd.DoomGame | None = None
        self._close: weakref.finalize[..., Engine] | None = None
        self._index = self._resets = 0
        self.pid = 0

    def play(self, index: int) -> Sight:
        """Begin an episode in a maze.

        :raises EngineLostError: the engine died meanwhile
        :raises RuntimeError: no engine can be started: see :func:`check_room`
        """
        if self._game is None or self._resets == RESETS:
            self.close()
            self._start(index)
        else:
            try:
                if index == self._index:
                    self._game.new_episode()
                else:
                    self._game.set_doom_map(map_name(index))  # which begins an episode too
            except CRASHES as error:
                raise self._lost(error) from error
        self._index = index
        self._resets += 1
        return self._look()

    def act(self, action: int) -> Sight:
        """Turn left (0), turn right (1) or move forward (2), for ``frame_skip`` tics.

        :raises EngineLostError: the engine died meanwhile
        """
        assert self._game is not None
        try:
            self._game.make_action(self._actions[action], self._frame_skip)
        except CRASHES as error:
            raise self._lost(error) from error
        return self._look()

    def close(self) -> None:
        """End the engine's process, if there is one."""
        if self._close is not None:
            self._close()
        self._game = self._close = None

    def _look(self) -> Sight:
        assert self._game is not None
        state = self._game.get_state()
        assert state.game_variables is not None
        return state.screen_buffer, state.game_variables.tolist()

    def _start(self, index: int) -> None:
        game = vzd.DoomGame()
        folder = Path(tempfile.mkdtemp(prefix="engine-", dir=process_folder()))
        script = folder / "engine.sh"
        program = Path(vzd.__file__).with_name("vizdoom")
        script.write_text(SCRIPT.format(program=shlex.quote(str(program))))
        script.chmod(0o700)
        game.set_vizdoom_path(str(script))
        game.set_doom_config_path(str(folder / "vizdoom.ini"))
        game.set_doom_scenario_path(str(wad_file(self._mazes, self._exact)))
        game.set_doom_map(map_name(index))
        game.set_mode(vzd.Mode.PLAYER)
        game.set_screen_resolution(vzd.ScreenResolution.RES_160X120)  # the smallest
        game.set_screen_format(vzd.ScreenFormat.RGB24)
        game.set_window_visible(False)
        game.set_sound_enabled(False)
        game.set_doom_skill(1)
        game.set_seed(0)
        game.set_episode_timeout(0)
        game.set_episode_start_time(WARM_UP)
        for part in HIDDEN:
            getattr(game, f"set_render_{part}")(False)
        turning = [Button.TURN_LEFT_RIGHT_DELTA] if self._exact else _TURNS
        game.set_available_buttons([*turning, Button.MOVE_FORWARD])
        game.set_available_game_variables(_SEEN)
        self._close = weakref.finalize(self, _end, game, folder)
        with _STARTS:
            check_room()
            game.init()
        self.pid = int((folder / "pid").read_text())
        self._game, self._resets = game, 0

    def _lost(self, error: Exception) -> EngineLostError:
        self.close()
        return EngineLostError(f"The ViZDoom engine with process id {self.pid} was lost: {error}")


_TURNS = [Button.TURN_LEFT, Button.TURN_RIGHT]
_SEEN = [
    Variable.POSITION_X,
    Variable.POSITION_Y,
    Variable.ANGLE,
    Variable.VELOCITY_X,
    Variable.VELOCITY_Y,
]


def check_room() -> None:
    """Raise an error where an engine could not start: ViZDoom would end this process instead.

    :raises RuntimeError: no shared memory is left, or programs may not run from temporary folders
    """
    left = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.exists() else NEEDED
    if left < NEEDED:
        raise RuntimeError(
            f"{SHARED_MEMORY} has {left / 1e6:.1f} MB left, but a ViZDoom engine needs "
            f"{NEEDED / 1e6:.0f}: use fewer environments, or make it larger (Docker: --shm-size)."
        )
    if os.statvfs(process_folder()).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise RuntimeError(
            f"Programs may not run from {process_folder().parent}: set TMPDIR to another folder."
        )


def _end(game: vzd.DoomGame, folder: Path) -> None:
    game.close()
    shutil.rmtree(folder, ignore_errors=True)
