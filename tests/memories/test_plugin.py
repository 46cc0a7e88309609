"""A memory that another distribution brings, from rl2_sb3 alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

from rl2_sb3 import RL2PPO, load_agent, make_trials
from rl2_sb3.agent_file import describe_agent
from rl2_sb3.registry import MEMORIES
from rl2_sb3.testing import check_memory

WINDOW = '''
import torch as th

from rl2_sb3.memories import Memory


class Window(Memory):
    """The last inputs, through a dense layer: its state is larger than its output."""

    def __init__(self, inputs, size, steps=3):
        super().__init__()
        self.inputs, self.steps = inputs, steps
        self.state_size, self.output_size = steps * inputs, size
        self.read = th.nn.Linear((steps + 1) * inputs, size)
        th.nn.init.constant_(self.read.bias, 0.25)

    def forward(self, x, state, keep=None):
        outputs = []
        for t, now in enumerate(x):
            seen = th.cat([state if keep is None else state * keep[t], now], dim=1)
            outputs.append(self.read(seen).tanh())
            state = seen[:, self.inputs :]
        return th.stack(outputs), state
'''


@pytest.fixture
def window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Callable[[str], None]) -> None:
    """Install a distribution with the memory ``lately``."""
    info = tmp_path / "site" / "windows-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: windows\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rl2_sb3.memories]\nlately = windows:Window\n")
    (tmp_path / "site" / "windows.py").write_text(WINDOW)
    monkeypatch.syspath_prepend(tmp_path / "site")
    forget("windows")


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("network", [{}, {"shared": True, "layers_before": [6], "skip": True}])
def test_it_learns_is_saved_and_plays(network: dict[str, Any], tmp_path: Path) -> None:
    assert MEMORIES.distribution("lately") == "windows 1.0"
    check_memory(MEMORIES.load("lately"), steps=2)
    trials = make_trials("bandit", 16, episodes=6, seed=0, arms=3)
    options = {"memory": "lately", "memory_kwargs": {"steps": 2}, "hidden_size": 8, **network}
    model = RL2PPO("GRUPolicy", trials, n_steps=9, seed=0, policy_kwargs=options)
    memory: Any = model.policy.mlp_extractor.policy.memory
    assert (memory.read.bias == 0.25).all()  # it has initialised itself
    before = [parameter.clone() for parameter in memory.parameters()]

    model.learn(2 * 16 * 9)  # trials begin and end inside of rollouts

    assert not any(map(th.equal, before, memory.parameters()))
    model.save(tmp_path / "model.zip")
    model.save_agent(tmp_path / "agent.safetensors")
    assert describe_agent(tmp_path / "agent.safetensors")["network"]["memory"] == "lately"
    loaded = RL2PPO.load(tmp_path / "model.zip")
    agent = load_agent(tmp_path / "agent.safetensors")
    assert agent.policy.memory_size == agent.policy.mlp_extractor.policy.memory.state_size
    plays: Any = make_trials("bandit", 5, episodes=6, seed=3, arms=3)
    players: list[Any] = [model, loaded, agent]
    states: list[Any] = [None, None, None]
    obs = plays.reset()
    for _ in range(9):
        actions = None
        for number, player in enumerate(players):
            chosen, states[number] = player.predict(obs, states[number], deterministic=True)
            np.testing.assert_array_equal(chosen, chosen if actions is None else actions)
            actions = chosen
        obs, *_ = plays.step(actions)


def test_an_agent_whose_memory_is_not_installed_says_so(
    window: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = make_trials("bandit", 4, episodes=2)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs={"memory": "lately", "hidden_size": 4})
    model.save_agent(tmp_path / "agent.safetensors")
    monkeypatch.undo()
    with pytest.raises(
        ValueError,
        match=r"No memory 'lately'\. Installed: action-gru, action-sums, fast-weights, gru, "
        r"linear, lstm, pair-sums, sums, transition-graph, window",
    ):
        load_agent(tmp_path / "agent.safetensors")
