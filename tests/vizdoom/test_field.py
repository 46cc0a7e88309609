"""How far the goal is, and what is paid for the way that is won."""

import numpy as np
import pytest

pytest.importorskip("rl2_vizdoom")

from rl2_vizdoom.env import FORWARD, GUIDANCE, TURN_LEFT, MazeEnv
from rl2_vizdoom.field import COAST, GRID, MOVE, REACH, TURN, Field, Guide
from rl2_vizdoom.mazes import Maze, split_mazes
from rl2_vizdoom.oracle import plan
from rl2_vizdoom.wad import centre

CORRIDOR = Maze.parse("#######\n#S...G#\n#.###.#\n#.....#\n#######")


def test_the_way_down_a_corridor() -> None:
    guide = Guide(CORRIDOR)
    x, y = centre(CORRIDOR.start)
    ahead = centre(CORRIDOR.goal)[0] - REACH - x  # 383 - 63
    here = guide.tics_left(x, y, 0.0, 0.0, 0.0)
    assert here == pytest.approx(ahead / MOVE, abs=GRID / MOVE)
    assert guide.tics_left(x, y, 90.0, 0.0, 0.0) == pytest.approx(here + 90 / TURN)
    assert guide.tics_left(x, y, 350.0, 0.0, 0.0) == pytest.approx(here + 10 / TURN)
    assert guide.tics_left(x, y, 0.0, 4.0, 0.0) < here - GRID / MOVE  # it coasts on
    assert guide.tics_left(x, y, 0.0, -4.0, 0.0) == pytest.approx(here)  # not into a wall
    assert guide.tics_left(x - 31.9, y + 31.9, 0.0, 0.0, 0.0) > here  # in the corner, at the walls


def test_tables_say_what_the_field_says() -> None:
    """And where the field says nothing, the tables know a place nearby."""
    rng = np.random.default_rng(0)
    for maze in split_mazes(3, "test", 5):
        field, guide = Field(maze), Guide(maze)
        place = rng.uniform(96, 576, (2000, 2)) * (1, -1)
        place = place[field.free(place)]
        angle, velocity = rng.uniform(0, 360, len(place)), rng.normal(0, 4, place.shape)
        expected = field.tics_left(place, angle, velocity)
        rest = np.column_stack([angle, velocity]).tolist()
        found = np.array(
            [guide.tics_left(p[0], p[1], *r) for p, r in zip(place, rest, strict=True)]
        )
        # The tables know of a coasted place only whether a player fits in its square's middle.
        same = np.isclose(found, expected)
        assert same.mean() > 0.9
        assert np.isfinite(found).all()
        off = ~same & np.isfinite(expected)
        assert (np.abs(found - expected)[off] < COAST * 20 / MOVE + 360 / TURN).all()


def test_what_is_told_adds_up_to_the_rewards_and_the_way_there_was() -> None:
    """But for what is left at the end, so that no detour pays."""
    env = MazeEnv([CORRIDOR], horizon=250)
    env.reset(options={"task": 0, "privileged": True})
    x, y = centre(CORRIDOR.start)
    way = GUIDANCE * Guide(CORRIDOR).tics_left(x, y, 0.0, 0.0, 0.0)
    try:
        for begin in ([], [TURN_LEFT] * 9, [TURN_LEFT, FORWARD] * 20):
            env.reset(options={"task": 0, "privileged": True})
            told = paid = 0.0
            for action in [*begin, *[TURN_LEFT] * 60, *[FORWARD] * 150] if begin else [2] * 60:
                _, reward, found, late, info = env.step(action)
                told, paid = told + info["rl2"]["training_reward"], paid + reward
                if found or late:
                    break
            left = 0.0 if found else env._tics_left
            assert told - paid == pytest.approx(way - GUIDANCE * left)
        env.reset(options={"task": 0, "privileged": True})
        toward = sum(
            env.step(action)[4]["rl2"]["training_reward"] for action in plan(CORRIDOR)[:-1]
        )
        assert toward > 0  # time is paid for by the way
    finally:
        env.close()
