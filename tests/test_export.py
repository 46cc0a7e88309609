"""Exported agents choose as `Agent` does, step by step over whole trials."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3 import RL2PPO, Agent, export, load_agent, make_trials
from rl2_sb3.cli import main
from rl2_sb3.cli.entries import evaluation_tasks
from rl2_sb3.export import describe, export_agent, with_fp32_products
from rl2_sb3.memories import Memory
from rl2_sb3.registry import AGENTS, MEMORIES, TASKS
from rl2_sb3.trials.play import play
from tests.envs import SmallEnv

TOLERANCE = 1e-5
OF_GRAPHS = 2e-5
"""Where a thousand steps are added up, and few units tell much: of a transition graph's agents."""
COLUMNS = 2


class Compared:
    """Acts as an agent does, and keeps how far its exported twin, on memory of its own, is off."""

    def __init__(self, agent: Agent, path: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options)
        self.policy = agent.policy
        self.off = 0.0
        self.steps = 0

    def predict(
        self,
        observation: dict[str, NDArray[Any]],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> Any:
        columns = len(observation["start"])
        zeros = np.zeros((columns, self.policy.memory_size), np.float32)
        mine, theirs = (zeros, zeros) if state is None else state
        with th.no_grad():
            obs, _ = self.policy.obs_to_tensor(observation)
            assert isinstance(obs, dict)
            expected = self.parameters({**obs, "memory": th.as_tensor(mine)})
        seen = {key: part.numpy() for key, part in obs.items()}  # images have channels first
        *given, theirs = self.run({**seen, "memory": theirs})
        for right, got in zip(expected, given, strict=True):
            assert right.shape == got.shape
            self.off = max(self.off, float(np.abs(right - got).max()))
        actions, after = self.policy.predict(observation, (mine,), None, deterministic)
        self.steps += 1
        assert after is not None
        return actions, (after[0], theirs)

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The model's outputs for each column, one by one where it takes one trial."""
        rows = self.session.get_inputs()[0].shape[0]
        if rows != 1:
            found: list[NDArray[Any]] = self.session.run(None, inputs)
            return found
        each = [
            self.session.run(None, {key: part[i : i + 1] for key, part in inputs.items()})
            for i in range(COLUMNS)
        ]
        return [np.concatenate(parts) for parts in zip(*each, strict=True)]

    def parameters(self, obs: dict[str, th.Tensor]) -> list[NDArray[Any]]:
        """What SB3's distribution of actions has."""
        inner: Any = self.policy.get_distribution(obs).distribution
        if isinstance(inner, list):
            return [np.concatenate([part.probs.numpy() for part in inner], axis=1)]
        if isinstance(self.policy.action_space, spaces.Box):
            return [inner.mean.numpy(), inner.stddev.numpy()]
        return [inner.probs.numpy()]


def off(agent: Agent, path: Path, trials: VecEnv, n_trials: int = COLUMNS) -> float:
    """How far the exported agent is off at most, in whole trials of the agent's."""
    compared = Compared(agent, path)
    trials.seed(0)
    th.manual_seed(0)
    for _ in play(compared, trials, n_trials=n_trials):
        pass
    trials.close()
    assert compared.steps > 1
    return compared.off


@pytest.mark.parametrize("name", AGENTS.names() or [pytest.param("", marks=pytest.mark.skip)])
def test_installed_agents(name: str, tmp_path: Path) -> None:
    agent = load_agent(name)
    if agent.info["task"] not in TASKS:
        pytest.skip(f"{name} plays {agent.info['task']}, which is not installed")
    path = export_agent(agent, tmp_path / "agent.onnx")
    tasks, _ = evaluation_tasks(agent.info, [])
    trials = make_trials(tasks, n_envs=COLUMNS, episodes=agent.info["episodes"])
    # Those of bf16 products are compared as the model is written: with fp32 products.
    same = Agent(with_fp32_products(agent.policy), agent.info)
    graph = agent.policy.config.memory == "transition-graph"
    assert off(same, path, trials) < (OF_GRAPHS if graph else TOLERANCE)


PIXELS = spaces.Box(0, 255, (3, 14, 16), np.uint8)
NUMBERS = spaces.Box(-np.inf, np.inf, (3,), np.float32)
TWO = spaces.Dict({"where": NUMBERS, "what": spaces.MultiDiscrete([2, 3])})
BOX = spaces.Box(-1, 1, (2,), np.float32)
NETWORKS: dict[str, tuple[str, Any, Any, dict[str, Any]]] = {
    "relu": ("GRUPolicy", NUMBERS, BOX, {"candidate": "relu", "normalize_observations": True}),
    "episodes": ("GRUPolicy", NUMBERS, spaces.MultiBinary(3), {"episode_units": 3}),
    "weight norm": ("GRUPolicy", TWO, spaces.MultiDiscrete([2, 3]), {"weight_norm": True}),
    "products": (
        *("GRUPolicy", spaces.Discrete(4), spaces.Discrete(3)),
        {"state_action": True, "skip": True, "layers_before": [6], "layers_after": [5]},
    ),
    "images": ("CnnGRUPolicy", PIXELS, spaces.Discrete(3), {"shared": True}),
    "lstm": ("GRUPolicy", NUMBERS, spaces.Discrete(3), {"memory": "lstm"}),
    "linear": ("GRUPolicy", NUMBERS, spaces.Discrete(3), {"memory": "linear"}),
    "sums": ("GRUPolicy", NUMBERS, spaces.Discrete(3), {"memory": "sums"}),
    "fast-weights": (
        *("GRUPolicy", NUMBERS, spaces.Discrete(3)),
        {"memory": "fast-weights", "memory_kwargs": {"heads": 4, "rows": 3}},
    ),
    "action-gru": ("GRUPolicy", NUMBERS, spaces.Discrete(3), {"memory": "action-gru"}),
    "transition-graph": (
        *("GRUPolicy", spaces.Discrete(4), spaces.Discrete(3)),
        {"memory": "transition-graph", "state_action": True},
    ),
    "window": (
        *("GRUPolicy", NUMBERS, spaces.Discrete(3)),
        {"memory": "window", "memory_kwargs": {"window": 4, "layers": 2}},
    ),
}


def small(case: tuple[str, Any, Any, dict[str, Any]], path: Path) -> tuple[Agent, VecEnv]:
    """An agent as its file has it, whose numbers are no longer its first, and trials for it."""
    kind, observations, actions, options = case
    trials = make_trials(lambda: SmallEnv(observations, actions), n_envs=COLUMNS, episodes=3)
    model = RL2PPO(
        kind, trials, n_steps=9, seed=0, policy_kwargs={"hidden_size": 8, **options}
    ).learn(36)
    model.save_agent(path)
    return load_agent(path), trials


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network(name: str, tmp_path: Path) -> None:
    agent, trials = small(NETWORKS[name], tmp_path / "agent.safetensors")
    path = export_agent(agent, tmp_path / "agent.onnx")
    assert off(agent, path, trials, n_trials=2 * COLUMNS) < TOLERANCE  # a memory that is reset
    session = onnxruntime.InferenceSession(path)
    assert {part.shape[0] for part in session.get_inputs()} == {"trials"}
    told = json.loads(session.get_modelmeta().custom_metadata_map["rl2_sb3"])
    assert told == json.loads(json.dumps(describe(agent)))
    assert told["memory_size"] == agent.policy.memory_size


class Others(Memory):
    """A memory of a plugin's, which fixes the number of columns: an average of its inputs."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.state_size = self.output_size = size
        self.read = th.nn.Linear(inputs, size)

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        outputs = []
        for t in range(len(x)):
            state = state if keep is None else state * keep[t]
            rows = [0.5 * state[i] + self.read(x[t, i]).tanh() for i in range(len(state))]
            state = th.stack(rows)
            outputs.append(state)
        return th.stack(outputs), state


class Chooses(Others):
    """Another, which no exporter takes: it looks at its numbers."""

    def forward(
        self, x: th.Tensor, state: th.Tensor, keep: th.Tensor | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        if not x.isfinite().all():
            raise ValueError("The inputs are not finite.")
        return super().forward(x, state, keep)


def test_memories_of_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"others": Others, "chooses": Chooses}
    load, has = MEMORIES.load, type(MEMORIES).__contains__
    monkeypatch.setattr(MEMORIES, "load", lambda name: kinds.get(name) or load(name))
    monkeypatch.setattr(type(MEMORIES), "__contains__", lambda r, x: x in kinds or has(r, x))
    path = tmp_path / "agent.safetensors"
    case = ("GRUPolicy", NUMBERS, spaces.Discrete(3), {"memory": "others"})
    agent, trials = small(case, path)
    assert off(agent, export_agent(agent, tmp_path / "agent.onnx"), trials) < TOLERANCE
    agent, trials = small((*case[:3], {"memory": "chooses"}), path)
    with pytest.raises(ValueError, match=r"does not take this agent's network .memory 'chooses'"):
        export_agent(agent, tmp_path / "none.onnx")
    assert not (tmp_path / "none.onnx").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.safetensors"
    small(NETWORKS["lstm"], file)
    main(["export", str(file), "--to", "onnx"])
    assert f"{tmp_path / 'mine.onnx'}: " in capsys.readouterr().out
    main(["export", str(file), "--out", str(tmp_path / "new" / "other.onnx")])
    assert (tmp_path / "new" / "other.onnx").read_bytes() == (tmp_path / "mine.onnx").read_bytes()
    with pytest.raises(SystemExit, match=r"rl2 export: --out .*mine.json: the model is an .onnx."):
        main(["export", str(file), "--out", str(tmp_path / "mine.json")])


def test_without_the_exporter_one_line_says_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.safetensors"
    small(NETWORKS["lstm"], file)
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"not installed: `pip install 'rl2-sb3\[onnx\]'`"):
        main(["export", str(file)])


@pytest.mark.skipif("bandit-k5-n10" not in AGENTS, reason="needs the agents of rl2-checkpoints")
def test_the_pages_python_runs_without_torch(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    export_agent(load_agent("bandit-k5-n10"), tmp_path / "agent.onnx")
    told = "import sys; assert 'torch' not in sys.modules and 'rl2_sb3' not in sys.modules"
    command = [sys.executable, "-c", f"{code}\n{told}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ of 10 pulls paid; the best arm pays 0.\d\d\n", done.stdout)
