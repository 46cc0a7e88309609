"""POPGym's environments: all of them keep the contract, and a task is a deal."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rl2_popgym")

import gymnasium as gym
from rl2_popgym.tasks import SEEDS, POPGym, names

from rl2_sb3 import check_tasks


def test_there_are_all() -> None:
    """Sixteen environments of three difficulties."""
    assert len(names()) == 48
    for ending in ("Easy", "Medium", "Hard"):
        assert sum(name.endswith(ending) for name in names()) == 16


@pytest.mark.filterwarnings("ignore:Maze environments")  # POPGym's word on its own mazes
@pytest.mark.parametrize("name", [each for each in names() if each.endswith("Easy")])
def test_contract(name: str) -> None:
    check_tasks(POPGym(name), n=8, episodes=1)


@pytest.mark.filterwarnings("ignore:Maze environments")
@pytest.mark.parametrize("name", [each for each in names() if not each.endswith("Easy")])
def test_the_harder_ones_begin_and_step(name: str) -> None:
    env = POPGym(name).make_env()
    env.action_space.seed(0)
    assert env.observation_space.contains(env.reset(options={"task": 1})[0])
    for _ in range(3):
        assert env.observation_space.contains(env.step(env.action_space.sample())[0])


def play(env: Any, task: int, seed: int) -> list[Any]:
    """Observations of an episode with the first action throughout."""
    seen, over = [env.reset(seed=seed, options={"task": task})[0]], False
    while not over:
        observation, _, terminated, truncated, _ = env.step(0)
        seen.append(np.asarray(observation).tolist())
        over = terminated or truncated
    return seen


def test_a_deal_is_popgyms_and_stays() -> None:
    ours, theirs = POPGym("RepeatFirstEasy").make_env(), gym.make("popgym-RepeatFirstEasy-v0")
    cards = play(ours, task=3, seed=0)
    expected, over = [theirs.reset(seed=3)[0]], False
    while not over:
        observation, _, over, *_ = theirs.step(0)
        expected.append(observation)
    assert cards == expected
    assert play(ours, task=3, seed=1) == cards
    assert play(ours, task=4, seed=0) != cards
    assert ours.reset(seed=9)[0] == play(ours, task=4, seed=2)[0]


def test_noise_is_the_resets_own() -> None:
    env = POPGym("NoisyPositionOnlyCartPoleEasy").make_env()
    assert play(env, 0, seed=1)[1:] != play(env, 0, seed=2)[1:]
    assert play(env, 0, seed=1)[1:] == play(env, 0, seed=1)[1:]


def test_held_out_deals_are_others() -> None:
    rng = np.random.default_rng(0)
    train = [POPGym().sample(rng) for _ in range(100)]
    test = [POPGym().held_out().sample(rng) for _ in range(100)]
    assert max(train) < SEEDS <= min(test)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [("env", "AutoEncodeEasy", "Did you mean 'AutoencodeEasy'"), ("split", "dev", "train or test")],
)
def test_options_out_of_range_are_refused(option: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        POPGym(**{option: value})
