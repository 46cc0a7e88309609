"""What an agent feeds its policy, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.agent import Agent


class Heard:
    """Takes the place of a policy's ``predict``: notes what it is told, and acts 1, 2, 0, 1..."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __call__(self, observation: Any, state: Any, start: Any, deterministic: bool) -> Any:
        copies = {key: np.array(part) for key, part in observation.items()}
        self.told.append((copies, state, deterministic))
        n = len(self.told)
        return np.full(len(copies["start"]), n % 3), (np.full((1, 1), n),)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> tuple[Agent, Heard]:
    model = RL2PPO(
        "GRUPolicy", make_trials("bandit", 2, 2, arms=3), policy_kwargs={"hidden_size": 2}
    )
    heard = Heard()
    monkeypatch.setattr(model.policy, "predict", heard)
    return Agent(model.policy, {}), heard


def test_each_step_tells_what_came_of_the_last(heard: tuple[Agent, Heard]) -> None:
    agent, told = heard
    agent.reset()
    assert agent.act(0) == 1
    agent.observe(2.5, True)
    assert agent.act(0, deterministic=True) == 2
    agent.observe(-1000, False)
    assert agent.act(0) == 0
    agent.reset()
    agent.act(0)
    parts = ("start", "action", "reward", "done")
    seen = [[float(obs[key].item()) for key in parts] for obs, _, _ in told.told]
    assert seen == [[1, 0, 0, 0], [0, 1, 2.5, 1], [0, 2, -1000, 0], [1, 0, 0, 0]]
    states = [None if state is None else state[0].item() for _, state, _ in told.told]
    assert states == [None, 1, 2, None]
    assert [deterministic for _, _, deterministic in told.told] == [False, True, False, False]


def test_each_trial_is_told_of_itself(heard: tuple[Agent, Heard]) -> None:
    agent, told = heard
    agent.reset(2)
    agent.act(np.array([0, 0]))
    agent.observe([3.0, -4.0], [False, True])
    agent.act(np.array([0, 0]))
    observation = told.told[1][0]
    assert observation["reward"].tolist() == [[3], [-4]]
    assert observation["done"].tolist() == [[0], [1]]
    assert observation["action"].reshape(2).tolist() == [1, 1]
    assert observation["start"].tolist() == [[0], [0]]
