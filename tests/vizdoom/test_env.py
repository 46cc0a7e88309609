"""One maze: what is seen and paid, and that nothing but the maze and the actions decides it."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rl2_vizdoom")

import gymnasium as gym
from rl2_vizdoom.env import FORWARD, TURN_LEFT, TURN_RIGHT, MazeEnv, free_movement
from rl2_vizdoom.mazes import Maze, split_mazes
from rl2_vizdoom.oracle import plan, play
from rl2_vizdoom.picture import EARLIER, GOAL, NOW
from rl2_vizdoom.wad import BLOCK, centre

from rl2_sb3 import TrialWrapper

CORRIDOR = Maze.parse("#######\n#S...G#\n#.###.#\n#.....#\n#######")
CORNER = Maze.parse("#####\n#.#G#\n#.#.#\n#S..#\n#####")


@pytest.fixture(scope="module")
def env() -> Iterator[MazeEnv]:
    env = MazeEnv([CORRIDOR, CORNER, *split_mazes(3, "test", 4)], horizon=60)
    yield env
    env.close()


@pytest.fixture(scope="module")
def exact() -> Iterator[MazeEnv]:
    env = MazeEnv([CORRIDOR, CORNER], horizon=100, exact=True)
    yield env
    env.close()


def steps(env: MazeEnv, task: int, actions: Iterable[int]) -> list[Any]:
    """What an episode gives, from its reset on, until it ends or the actions do."""
    given: list[Any] = [(*env.reset(options={"task": task}), 0.0, False, False)]
    for action in actions:
        seen, reward, terminated, truncated, info = env.step(action)
        given.append((seen, info, reward, terminated, truncated))
        if terminated or truncated:
            break
    return given


def test_an_episode_begins_at_the_start_facing_east(env: MazeEnv) -> None:
    for task, maze in enumerate(env.mazes):
        seen, info = env.reset(options={"task": task})
        assert info == {"position": (*centre(maze.start), 0.0), "length": 0}
        assert env.observation_space.contains(seen)
        assert env.maze is maze


def test_what_the_simulator_knows_is_told_where_a_reset_asks_for_it(env: MazeEnv) -> None:
    """The goal is 4 blocks ahead, a little less after a step; to the right after a turn left."""
    _, info = env.reset(options={"task": 0, "privileged": True})
    tics, cosine, sine, ahead, left = info["rl2"]["privileged_observation"]
    assert (cosine, sine, ahead, left) == pytest.approx((1, 0, 4 * BLOCK / 300, 0))
    told = env.step(FORWARD)[4]["rl2"]
    assert told["privileged_observation"][0] < tics
    assert told["privileged_observation"][3] < ahead
    assert told["training_reward"] > -0.04
    for _ in range(10):
        turned = env.step(TURN_LEFT)[4]["rl2"]["privileged_observation"]
    assert turned[2] < 0
    assert turned[4] < 0
    assert "rl2" not in env.reset(options={"task": 0})[1]
    assert "rl2" not in env.step(FORWARD)[4]


def test_a_walk_east_reaches_the_goal(env: MazeEnv) -> None:
    """It begins with 7.1 units a step, and comes to 30: 320 units are touched in 12 steps."""
    given = steps(env, 0, [FORWARD] * 60)
    *_, (_, info, reward, terminated, truncated) = given
    assert (terminated, truncated, info["is_success"]) == (True, False, True)
    assert info["length"] == len(given) - 1 == 12
    assert reward == pytest.approx(1 - 0.04)
    assert [step[2] for step in given[1:-1]] == pytest.approx([-0.04] * 11)
    assert not any("is_success" in step[1] for step in given[:-1])
    assert info["position"][0] == pytest.approx(5 * BLOCK - 16, abs=2)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(FORWARD)


def test_movement_in_the_open_is_as_computed(env: MazeEnv) -> None:
    """So that what is shorter is a wall's doing. A player at rest wins 7.11 units in a step."""
    coast, push = free_movement(False, 4)
    assert push == pytest.approx(7.1138, abs=1e-4)
    places = [step[1]["position"] for step in steps(env, 0, [FORWARD, FORWARD, TURN_LEFT])]
    (x, y, _), (x1, *_), (x2, *_), (x3, y3, angle) = places
    assert (x1 - x, x2 - x1) == pytest.approx((push, push + coast * 2.4579), abs=2e-3)
    assert x3 - x2 == pytest.approx(14.29, abs=0.01)  # it coasts while it turns
    assert (y3, angle) == pytest.approx((y, 7.03), abs=0.01)


def test_turning_right_turns_clockwise(env: MazeEnv) -> None:
    *_, last = steps(env, 0, [TURN_RIGHT] * 3)
    assert last[1]["position"][2] == pytest.approx(360 - 7.03 - 12.3 - 14.06, abs=0.1)


def test_only_a_step_that_a_wall_cuts_short_costs_more(env: MazeEnv) -> None:
    """CORNER has a wall 192 units east of the start, which the 10th step meets."""
    given = steps(env, 1, [FORWARD] * 20 + [TURN_LEFT] * 5)
    stopped = [reward == pytest.approx(-0.041) for _, _, reward, _, _ in given[1:]]
    assert stopped.index(True) == 9
    assert all(stopped[9:20])
    assert not any(stopped[21:])
    assert given[-1][1]["position"][0] == pytest.approx(4 * BLOCK - 16, abs=0.1)


def test_the_horizon_truncates(env: MazeEnv) -> None:
    given = steps(env, 1, [TURN_LEFT] * 100)
    assert len(given) - 1 == 60
    _, info, reward, terminated, truncated = given[-1]
    assert (terminated, truncated, reward) == (False, True, pytest.approx(-0.04))
    assert info["is_success"] is False


def test_a_frame_skip_of_one_pays_one_tic() -> None:
    env = MazeEnv([CORRIDOR], frame_skip=1)
    given = steps(env, 0, [FORWARD] * 60)
    assert given[1][2] == pytest.approx(-0.01)
    assert len(given) - 1 == pytest.approx(4 * 12, abs=4)
    assert given[-1][3]
    env.close()


def test_nothing_but_the_maze_and_the_actions_decides(env: MazeEnv) -> None:
    """Frames and rewards, hash for hash: over visiting orders, seeds, and another engine."""
    actions = np.random.default_rng(0).choice(3, 50, p=[0.2, 0.2, 0.6]).tolist()
    other = MazeEnv(env.mazes, horizon=60)

    def digest(env: MazeEnv, task: int, seed: int) -> str:
        env.reset(seed=seed)
        hashed = hashlib.sha256()
        for seen, info, *rest in steps(env, task, actions):
            hashed.update(seen.tobytes() + repr((info["position"], rest)).encode())
        return hashed.hexdigest()

    order = range(len(env.mazes))
    met = [digest(env, task, 0) for task in order]
    assert len(set(met)) == len(met)
    assert [digest(other, task, 1) for task in order[::-1]] == met[::-1]
    assert [digest(env, task, 2) for task in (3, 3, 1, 3)] == [met[task] for task in (3, 3, 1, 3)]
    other.close()


def test_the_red_goal_is_seen_and_grows(env: MazeEnv) -> None:
    def red(seen: Any) -> int:
        rgb = seen.astype(int)
        return int(((rgb[..., 0] > 120) & (rgb[..., 1:].max(-1) < 60)).sum())

    given = steps(env, 0, [FORWARD] * 20)
    seen = [red(step[0]) for step in given]
    assert 4 <= seen[0] < seen[6] < seen[-1]
    assert red(steps(env, 1, [])[0][0]) == 0  # behind a wall


def test_exact_moves_and_turns(exact: MazeEnv) -> None:
    """5 moves a block and 4 turns a quarter, without inertia: every end is known."""
    actions = [FORWARD] * 10 + [TURN_LEFT] * 4 + [TURN_RIGHT]
    given = steps(exact, 1, actions)
    x, y = centre(CORNER.start)
    for step, (_, info, reward, _, _) in enumerate(given):
        east, turned = 19.2 * min(step, 10), 22.5 * min(max(step - 10, 0), 4)
        angle = 67.5 if step == len(actions) else turned
        assert info["position"] == pytest.approx((x + east, y, angle), abs=0.01)
        assert step == 0 or reward == pytest.approx(-0.04)
    given = steps(exact, 0, [FORWARD] * 30)
    assert len(given) - 1 == 17  # 17 * 19.2 >= 4 * 96 - 64
    assert given[-1][3]


def test_exact_contact_costs(exact: MazeEnv) -> None:
    given = steps(exact, 1, [FORWARD] * 14)
    stopped = [reward == pytest.approx(-0.041) for _, _, reward, _, _ in given[1:]]
    assert stopped == [False] * 11 + [True] * 3


def test_without_a_task_the_maze_stays(env: MazeEnv) -> None:
    env.reset(options={"task": 3})
    env.reset(seed=1)
    assert env.maze is env.mazes[3]


@pytest.mark.parametrize("task", [-1, 6])
def test_a_task_that_is_no_mazes_number_is_refused(env: MazeEnv, task: int) -> None:
    with pytest.raises(ValueError, match=f"task={task}: use the number of a maze, 0 to 5"):
        env.reset(options={"task": task})


def test_step_before_reset_is_refused() -> None:
    env = MazeEnv([CORRIDOR])
    with pytest.raises(gym.error.ResetNeeded):
        env.step(FORWARD)
    for draw in (lambda: env.maze, env.render):
        with pytest.raises(gym.error.ResetNeeded):
            draw()
    assert env.reset(seed=0)[1]["length"] == 0
    env.close()


def test_the_picture_has_the_view_and_the_ways_in_this_maze(env: MazeEnv) -> None:
    """CORNER is 5x5 blocks of 48 pixels, to the right of the view."""
    steps(env, 0, [FORWARD] * 3)
    steps(env, 1, [FORWARD] * 20)
    alone = env.render()
    assert alone.shape == (240, 320 + 240, 3)
    seen = steps(env, 1, [FORWARD])[-1][0]
    both = env.render()
    np.testing.assert_array_equal(both[::8, :320:8], seen)
    row, way = 3 * 48 + 24, slice(320 + 90, 320 + 150)  # west to east, along the corridor's middle

    def is_way(picture: Any, colour: tuple[int, int, int]) -> Any:
        return (picture[row, way] == colour).all(axis=1).mean() > 0.9

    assert is_way(alone, NOW)
    assert is_way(both, EARLIER)
    assert (both[50:90, 320 + 168] == GOAL).all(axis=1).mean() > 0.9
    for _ in range(20):
        steps(env, 1, [])
    assert not is_way(env.render(), EARLIER)  # the last ten alone
    steps(env, 1, [FORWARD] * 20)
    steps(env, 0, [])
    assert len(env._ways) == 1


def test_trials_go_on_in_one_maze(env: MazeEnv) -> None:
    trial = TrialWrapper(env, 2)
    trial.reset(seed=0)
    maze, ended = env.maze, 0
    for _ in range(120):
        observation, _, over, _, _ = trial.step(TURN_LEFT)
        ended += int(observation["done"][0])
        assert env.maze is maze
    assert over
    assert ended == 2


@pytest.mark.parametrize("movement", ["engine", "exact"])
def test_the_oracle_reaches_every_goal(movement: str) -> None:
    """By plans that are made without the engine: so the engine moves as the plans think."""
    exact = movement == "exact"
    env = MazeEnv(split_mazes(3, "test", 20), exact=exact)
    for task, maze in enumerate(env.mazes):
        actions = plan(maze, exact, beam=200)
        length, found = play(env, task, actions)
        assert found, f"{task}\n{maze}"
        assert length in (len(actions) - 1, len(actions))  # the plan goes a unit further
    env.close()
