"""Every option is stated once: the command line, Python and files of runs say the same."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch as th
from stable_baselines3.common.utils import LinearSchedule

from rl2_sb3 import RL2PPO, RL2TRPO, make_trials
from rl2_sb3.cli import main
from rl2_sb3.config import LearningConfig, PolicyConfig, TrainConfig, TRPOConfig
from rl2_sb3.options import flat, flat_defaults, from_flat
from tests.algorithms.collecting import Model

TINY = ["--hidden-size", "8", "--n-envs", "32", "--episodes", "5", "--no-progress"]


@pytest.mark.parametrize(("name", "algorithm"), [("ppo", RL2PPO), ("trpo", RL2TRPO)])
def test_the_command_line_and_python_train_the_same_agent(
    name: str, algorithm: type[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    steps = 2 * 500 * 10  # of two rollouts
    words = ["--algorithm", name, "--steps", str(steps), "--device", "cpu", "--no-progress"]
    main(["train", "bandit", *words, "--out", "run"])
    told = algorithm.load("run/checkpoint.zip")

    model = algorithm("GRUPolicy", "bandit", seed=0, device="cpu").learn(steps)

    assert model.num_timesteps == told.num_timesteps == steps
    for key, tensor in told.policy.state_dict().items():
        th.testing.assert_close(model.policy.state_dict()[key], tensor, rtol=0, atol=0)


def test_what_is_given_as_a_number_stays() -> None:
    trials = make_trials("bandit", 2, 3)

    def model(**options: Any) -> Any:
        return RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 4}, **options)

    usual = LinearSchedule(3e-3, 3e-5, 1.0)
    assert model().learning_rate(0.5) == usual(0.5)
    assert model().ent_coef(0.5) == pytest.approx(0.005)
    assert model(learning_rate=3e-3, ent_coef=0.1).learning_rate == 3e-3
    assert model(learning_rate=3e-3, ent_coef=0.1).ent_coef == 0.1
    assert model(lr_decay=False).learning_rate == 3e-3
    assert model(learning_rate=1.0, lr_decay=True).learning_rate(0.5) == pytest.approx(0.505)
    assert model(learning_rate=usual).learning_rate is usual
    with pytest.raises(ValueError, match="learning_rate is a schedule already"):
        model(learning_rate=usual, lr_decay=True)


def test_unknown_options_are_refused_with_the_nearest() -> None:
    trials = make_trials("bandit", 2, 3)
    with pytest.raises(TypeError, match=r"RL2PPO has no option 'gama'\. Did you mean 'gamma'"):
        RL2PPO("GRUPolicy", trials, gama=1)
    with pytest.raises(
        TypeError, match=r"RL2PPO has no option 'arms'\. Options of the task go into"
    ):
        RL2PPO("GRUPolicy", "bandit", arms=3)
    with pytest.raises(TypeError, match="RL2PPO has no option 'step'"):
        RL2PPO("GRUPolicy", trials, step="first-order")
    with pytest.raises(TypeError, match="RL2TRPO has no option 'use_sde'"):
        RL2TRPO("GRUPolicy", trials, use_sde=True)
    with pytest.raises(ValueError, match=r"gamma=1\.5: use a number from 0 to 1"):
        RL2TRPO("GRUPolicy", trials, gamma=1.5)
    with pytest.raises(ValueError, match="trials_per_batch=1, batch_size=3"):
        RL2PPO("GRUPolicy", trials, trials_per_batch=1, batch_size=3)
    assert RL2PPO("GRUPolicy", trials, trials_per_batch=2).batch_size == 6


@pytest.mark.parametrize(
    ("algorithm", "configs"),
    [(RL2PPO, [LearningConfig]), (RL2TRPO, [LearningConfig, TRPOConfig])],
)
def test_signatures_tell_the_options(algorithm: type[Model], configs: list[type]) -> None:
    parameters = inspect.signature(algorithm).parameters
    for config in configs:
        for name, default in flat_defaults(config).items():
            assert parameters[name].default == default, name
    assert parameters["stats_window_size"].default == 100  # SB3's own
    assert ("clip_range_vf" in parameters) == (algorithm is RL2PPO)


def test_configurations_are_flat_in_files() -> None:
    config = TrainConfig(task="bandit", init=Path("runs/x"))
    config.network.layers_after, config.learning.gamma = (32,), 0.5
    config.trpo.step = "conjugate-gradient"
    values = json.loads(json.dumps(flat(config)))
    told = [values[name] for name in ("task", "layers_after", "gamma", "step", "init")]
    assert told == ["bandit", [32], 0.5, "conjugate-gradient", "runs/x"]
    assert values.keys() == flat_defaults(TrainConfig).keys()
    again = from_flat(TrainConfig, values | {"layers_after": (32,), "init": Path("runs/x")})
    assert again.learning == config.learning
    assert again.network.hidden_size == PolicyConfig.hidden_size
    with pytest.raises(ValueError, match=r"No option 'gama'\. Did you mean 'gamma'"):
        from_flat(TrainConfig, {"task": "bandit", "gama": 1})


def test_a_run_from_before_memories_had_names_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its configuration had the value network's memory, "gru", and none for the policy."""
    monkeypatch.chdir(tmp_path)
    common = ["train", "bandit", *TINY]
    main([*common, "--steps", "160"])
    path = Path("runs/latest/config.json")
    config = json.loads(path.read_text())
    for name in ("memory", "memory_kwargs", "layers_before", "vf_coef", *flat_defaults(TRPOConfig)):
        del config[name]
    path.write_text(json.dumps(config | {"value_network": "gru"}))
    main([*common, "--steps", "320", "--resume"])
    assert RL2PPO.load("runs/latest/checkpoint.zip").num_timesteps == 320
    with pytest.raises(SystemExit, match="value_network: None then, sums now"):
        main([*common, "--value-network", "sums", "--resume"])


def test_options_of_trpo_are_refused_for_ppo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    step = ["--step", "conjugate-gradient"]
    with pytest.raises(SystemExit, match="step=conjugate-gradient is of algorithm='trpo'"):
        main(["train", "bandit", *TINY, *step])
    assert not Path("runs").exists()
    natural = ["--algorithm", "trpo", "--steps", "160"]
    main(["train", "bandit", *TINY, *step, *natural])
    assert RL2TRPO.load("runs/latest/checkpoint.zip").step == "conjugate-gradient"
