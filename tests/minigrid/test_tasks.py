"""MiniGrid's levels: what the number of one decides, and what an agent sees of it."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rl2_minigrid")

import gymnasium as gym
from minigrid.core.mission import MissionSpace
from rl2_minigrid.families import ROOMS, families
from rl2_minigrid.missions import Tokens
from rl2_minigrid.tasks import LEVELS, MiniGrid

from rl2_sb3 import check_tasks

FORWARD, PICK_UP = 2, 3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"family": "DoorKey-5x5", "actions": "all", "view": 3, "mission": True, "position": True},
        {"family": "Fetch-5x5-N2", "actions": "all", "mission": True, "horizon": 20},
        {"family": "Dynamic-Obstacles-5x5", "horizon": 20},
        {"family": "MultiRoom-N4-S5-v1", "actions": "all", "horizon": 20},
    ],
)
def test_contract(options: dict[str, Any]) -> None:
    check_tasks(MiniGrid(**options), n=8, episodes=2)


@pytest.mark.filterwarnings("ignore:.*is out of date")  # there is a version 1, too
def test_all_families_make_a_level() -> None:
    """MiniGrid itself says which there are."""
    names = families()
    assert {"FourRooms", "DoorKey-8x8", "MultiRoom-N4-S5", "MultiRoom-N4-S5-v1", *ROOMS} < {*names}
    theirs = [name for name in gym.registry if name.startswith("MiniGrid-")]
    assert len(names) == sum("WFC" not in name for name in theirs) + len(ROOMS)
    for name in names:
        env = MiniGrid(family=name, mission=True).make_env()
        observation, _ = env.reset(options={"task": 0})
        assert env.observation_space.contains(observation), name


def walls(env: Any) -> Any:
    """Objects and colours of the whole level, with the agent's place and direction."""
    inner = env._env
    return inner.grid.encode().tolist(), tuple(inner.agent_pos), inner.agent_dir


def test_the_number_is_the_level() -> None:
    first, second = MiniGrid().make_env(), MiniGrid().make_env()
    drawn = []
    for number in (5, 6, 5):
        first.reset(seed=1, options={"task": number})
        second.reset(seed=2, options={"task": number})
        assert walls(first) == walls(second)
        drawn.append(walls(first))
    assert drawn[0] == drawn[2] != drawn[1]
    first.reset(seed=3)
    assert walls(first) == drawn[0]  # which it keeps without a task


def test_chance_after_the_reset_is_the_resets_own() -> None:
    """Balls that wander: where they begin is the level, where they go is not."""
    env = MiniGrid(family="Dynamic-Obstacles-8x8").make_env()

    def wander(seed: int) -> Any:
        env.reset(seed=seed, options={"task": 0})
        begun = walls(env)
        for _ in range(4):
            env.step(0)
        return begun, walls(env)

    assert wander(1) == wander(1)
    assert wander(1)[0] == wander(2)[0]
    assert wander(1)[1] != wander(2)[1]


def test_the_view_is_minigrids() -> None:
    ours = MiniGrid(family="DoorKey-8x8", actions="all", view=5).make_env()
    theirs: Any = gym.make("MiniGrid-DoorKey-8x8-v0", agent_view_size=5)
    seen, _ = ours.reset(options={"task": 7})
    expected, _ = theirs.reset(seed=7)
    rng = np.random.default_rng(0)
    for _ in range(30):
        assert np.array_equal(seen["view"], expected["image"])
        assert seen["direction"] == expected["direction"]
        action = int(rng.integers(7))
        seen, expected = ours.step(action)[0], theirs.step(action)[0]


def test_a_solved_level_pays_and_is_a_success() -> None:
    """Forward, forward, right, forward, forward in 5x5 cells: 1 - .9 * 5 / 100."""
    env = MiniGrid(family="Empty-5x5").make_env()
    env.reset(options={"task": 0})
    steps = [env.step(action) for action in (2, 2, 1, 2, 2)]
    assert [reward for _, reward, *_ in steps[:-1]] == [0] * 4
    _, reward, terminated, truncated, info = steps[-1]
    assert reward == pytest.approx(0.955)
    assert (terminated, truncated) == (True, False)
    assert info["rl2"] == {"success": True}


def test_a_level_that_is_not_solved_is_none() -> None:
    env = MiniGrid(family="Empty-5x5", horizon=3).make_env()
    env.reset(options={"task": 0})
    assert [env.step(0)[3] for _ in range(2)] == [False, False]
    *_, truncated, info = env.step(0)
    assert truncated
    assert info["rl2"] == {"success": False}


def test_held_out_levels_are_others() -> None:
    rng = np.random.default_rng(0)
    train = [MiniGrid().sample(rng) for _ in range(100)]
    test = [MiniGrid().held_out().sample(rng) for _ in range(100)]
    assert max(train) < LEVELS <= min(test)
    assert MiniGrid(view=5).held_out() == MiniGrid(view=5, split="test")


def test_tokens_are_the_words_in_order() -> None:
    """Words a, ball, blue, fetch, red are 1 to 5; the space has the longest mission's length."""
    missions = MissionSpace(
        lambda color, kind: f"Fetch a {color} {kind}.", [["red", "blue"], ["ball", "big red ball"]]
    )
    tokens = Tokens(missions)
    assert tokens.words == ["a", "ball", "big", "blue", "fetch", "red"]
    assert tokens("Fetch a red ball.").tolist() == [5, 1, 6, 2, 0, 0]
    assert tokens.space.nvec.tolist() == [7] * 6
    with pytest.raises(ValueError, match="mission=False"):
        tokens("open the door")


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("family", "DorKey-5x5", "Did you mean 'DoorKey-5x5'"),
        ("actions", "some", "all or moves"),
        ("split", "dev", "train or test"),
        ("view", 4, "an odd number"),
        ("view", 1, "an odd number"),
        ("horizon", 0, "at least 1"),
    ],
)
def test_options_out_of_range_are_refused(option: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MiniGrid(**{option: value})


def test_privileged_training_knows_the_goal_and_pays_for_coming_nearer() -> None:
    env: Any = MiniGrid(family="FourRooms-9x9").make_env()
    known = env.reset(options={"task": 3, "privileged": True})[1]["rl2"]["privileged_observation"]
    goal = tuple(int(number) for number in np.rint(known[2:] * 9))
    assert env._env.grid.get(*goal).type == "goal"
    way = env._ways
    free = [
        cell for cell in np.ndindex(9, 9) if getattr(env._env.grid.get(*cell), "type", "") != "wall"
    ]
    assert way[goal] == 0
    assert sorted(way) == free  # from everywhere there is a way, by one cell after the other
    for x, y in set(free) - {goal}:
        around = [way.get(cell, 99) for cell in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1))]
        assert way[x, y] == 1 + min(around)
    first, rewards, training = tuple(env._env.agent_pos), [], []
    rng = np.random.default_rng(0)
    for _ in range(60):
        _, reward, terminated, truncated, info = env.step(int(rng.integers(3)))
        rewards.append(reward)
        training.append(info["rl2"]["training_reward"])
        known = info["rl2"]["privileged_observation"] * 9
        assert tuple(known[:2]) == pytest.approx(env._env.agent_pos)
        assert tuple(known[2:]) == pytest.approx(goal)
        if terminated or truncated:
            break
    nearer = way[first] - way[tuple(env._env.agent_pos)]
    assert len(set(np.round(training, 3))) > 1
    assert sum(training) - sum(rewards) == pytest.approx(0.1 * nearer)
    assert "rl2" not in env.reset(options={"task": 3})[1]  # untold, it tells nothing


def test_levels_without_a_goal_pay_for_nothing_more() -> None:
    env = MiniGrid(family="Fetch-5x5-N2", actions="all").make_env()
    env.reset(options={"task": 0, "privileged": True})
    for action in (2, 0, 2, 1, 2):
        _, reward, *_, info = env.step(action)
        assert info["rl2"]["training_reward"] == reward
        known = info["rl2"]["privileged_observation"]
        assert tuple(known[:2]) == tuple(known[2:])


def test_position_is_the_agents_cell() -> None:
    env = MiniGrid(position=True).make_env()
    seen, _ = env.reset(options={"task": 1})
    rng, places = np.random.default_rng(0), set()
    for _ in range(40):
        assert tuple(seen["position"]) == tuple(env._env.agent_pos)
        places.add(tuple(seen["position"]))
        seen, *_ = env.step(int(rng.integers(3)))
    assert len(places) > 2
