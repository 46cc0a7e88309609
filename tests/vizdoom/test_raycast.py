"""The mazes drawn by rays: their contract, and that they are the engine's, nearly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rl2_vizdoom")

from rl2_vizdoom.env import FORWARD, MazeEnv
from rl2_vizdoom.field import guide
from rl2_vizdoom.oracle import plan
from rl2_vizdoom.raycast import Player, RaycastMaze
from rl2_vizdoom.tasks import VizdoomMaze
from rl2_vizdoom.wad import centre

from rl2_sb3 import check_tasks, make_trials
from rl2_sb3.cli import main

STEPS = 120
RNG = np.random.default_rng(0)


class Way(NamedTuple):
    """An episode in the engine, with a row for each step, and one more for what it begins with."""

    task: NDArray[np.int64]
    state: Player
    seen: NDArray[np.uint8]
    action: NDArray[np.int64]  # one row less, as in what follows
    reward: NDArray[np.float64]
    expected: NDArray[np.float64]
    over: NDArray[np.bool_]


@pytest.fixture(scope="module")
def tasks() -> RaycastMaze:
    return RaycastMaze(mazes=8)


@pytest.fixture(scope="module")
def env() -> Iterator[MazeEnv]:
    env = VizdoomMaze(mazes=8).make_env()
    yield env
    env.close()


@pytest.fixture(scope="module")
def ways(env: MazeEnv) -> list[Way]:
    return [walk(env, task, np.random.default_rng(task)) for task in range(8)]


def walk(env: MazeEnv, task: int, rng: np.random.Generator) -> Way:
    """Go on doing the same for some steps each time, and so meet many walls."""
    seen, _ = env.reset(options={"task": task, "privileged": True})
    places, views, turning = [env._place], [seen], [0]
    given: list[tuple[int, float, float, bool]] = []
    action = FORWARD
    while len(given) < STEPS and not (given and given[-1][-1]):
        if rng.random() < 0.3:
            action = int(rng.choice(3, p=[0.25, 0.25, 0.5]))
        seen, reward, found, late, info = env.step(action)
        given.append((action, reward, info["rl2"]["training_reward"], found or late))
        places.append(env._place)
        views.append(seen)
        turning.append(0 if action == FORWARD else turning[-1] + 4)
    at = np.array(places)
    steps = np.arange(len(at))
    state = Player(at[:, :2], at[:, 2], at[:, 3:], np.minimum(turning, 6), steps)
    columns: list[Any] = [np.array(column) for column in zip(*given, strict=True)]
    return Way(np.full(len(at), task), state, np.array(views), *columns)


def rows(state: Player, chosen: slice) -> Player:
    parts: list[Any] = [part[chosen] for part in state]
    return Player(*parts)


def test_contract() -> None:
    check_tasks(RaycastMaze(mazes=40, limit=40), episodes=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "tiny"}, "size='tiny': use small, large, or 2 or more"),
        ({"split": "validation"}, "split='validation': use one of train, test"),
        ({"mazes": 0}, "mazes=0: at least 1"),
        ({"limit": 0}, "limit=0: at least 1"),
        ({"frame_skip": 0}, "frame_skip=0: at least 1"),
    ],
)
def test_bad_options_are_refused_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RaycastMaze(**options)


def test_numbers_mean_the_same_mazes() -> None:
    mazes = VizdoomMaze(size="large", split="test", mazes=3).plans()
    tasks = RaycastMaze(size="large", split="test", mazes=3)
    state, seen = tasks.reset(np.arange(3), RNG)
    assert state.place.tolist() == [list(centre(maze.start)) for maze in mazes]
    assert seen.shape == (3, 30, 40, 3)
    assert tasks.horizon is None  # of the contract: episodes end at the goal


def test_other_mazes_are_held_out_for_evaluation() -> None:
    tasks = RaycastMaze(mazes=3, frame_skip=2)
    assert tasks.held_out() == RaycastMaze(mazes=3, frame_skip=2, split="test")


def test_an_episode_ends_at_its_limit() -> None:
    trials = make_trials(RaycastMaze(mazes=4, limit=3), 2, episodes=2, seed=0)
    trials.reset()
    dones = [trials.step(np.array([0, 1]))[2].tolist() for _ in range(6)]
    assert dones == [[False, False]] * 5 + [[True, True]]


def test_players_move_as_in_the_engine(tasks: RaycastMaze, ways: list[Way]) -> None:
    """From each of the engine's states a step leads to its next, in the open and along walls."""
    contacts = 0
    for way in ways:
        before = rows(way.state, slice(-1))
        after, _, reward, over = tasks.step(way.task[1:], before, way.action, RNG)
        for part, other in zip(after[:3], way.state[:3], strict=True):
            assert part == pytest.approx(other[1:], abs=1e-6)  # the engine rounds angles
        assert reward == pytest.approx(way.reward)
        assert over.tolist() == way.over.tolist()
        expected = tasks.training_reward(way.task[1:], before, way.action)
        assert expected == pytest.approx(way.expected, abs=1e-6)
        contacts += int((np.abs(reward + 0.041) < 1e-9).sum())
    assert contacts > 50


def test_a_plan_takes_as_long_as_in_the_engine(tasks: RaycastMaze, env: MazeEnv) -> None:
    for task, maze in enumerate(env.mazes):
        env.reset(options={"task": task})
        params = np.array([task])
        state, _ = tasks.reset(params, RNG)
        for action in plan(maze, beam=100):
            *_, found, _, info = env.step(action)
            state, _, _, over = tasks.step(params, state, np.array([action]), RNG)
            assert state.place[0].tolist() == list(info["position"][:2])
            assert over[0] == found
            if found:
                break
        assert found


def test_players_see_what_the_engine_shows(tasks: RaycastMaze, ways: list[Way]) -> None:
    for way in ways:
        before, after = rows(way.state, slice(-1)), rows(way.state, slice(1, None))
        _, bob = tasks._move(way.task[1:], before, way.action)
        first = tasks.reset(way.task[:1], RNG)[1]
        seen = np.concatenate([first, tasks.see(way.task[1:], after, bob)])
        off = np.abs(seen.astype(np.int64) - way.seen)
        assert off.mean() < 2
        assert (off.max(-1) > 24).mean() < 0.01


def test_the_same_is_told_as_of_the_engine(tasks: RaycastMaze, ways: list[Way]) -> None:
    for way in ways:
        told = tasks.privileged_observation(way.task, way.state)
        guide_told = guide(tasks._plans[way.task[0]]).told
        place, angle, velocity = way.state[:3]
        players = np.column_stack([place, angle, velocity]).tolist()
        assert told[:-1] == pytest.approx(np.array([guide_told(*each) for each in players[:-1]]))


def test_an_agent_is_trained_and_evaluated_by_name(tmp_path: Path, capsys: Any) -> None:
    """Images of tasks as arrays: training has their channels first, as SB3 does."""
    trained = (
        f"raycast-maze --limit 5 --mazes 9 --n-envs 4 --n-steps 10 --steps 40 --out {tmp_path}"
    )
    network = "--policy CnnGRUPolicy --hidden-size 4 --episodes 2 --privileged --no-progress"
    main(f"train {trained} {network}".split())
    main(f"evaluate {tmp_path} --trials 3 --options split=test mazes=9 limit=5".split())
    assert "-0.4" in capsys.readouterr().out  # ten steps of four tics, and walls
