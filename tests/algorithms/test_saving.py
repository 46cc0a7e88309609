from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rl2_sb3 import load_agent
from rl2_sb3.algorithms import RL2PPO, RL2TRPO, resuming
from rl2_sb3.trials import TrialWrapper, make_trials
from tests.algorithms.collecting import Model
from tests.envs import RaggedEnv, RaggedTasks

STEPS = 8
"""Steps of a rollout; trials have other lengths, so that a rollout's end lies inside some."""


def cartpole() -> VecEnv:
    def make() -> gym.Env[Any, Any]:
        return TrialWrapper(gym.make("CartPole-v1"), 2)

    return DummyVecEnv([make, make])


def bandits() -> VecEnv:
    return make_trials("bandit", 4, episodes=5)


def ragged() -> VecEnv:
    return make_trials(RaggedTasks(), 3, episodes=3)


ENVIRONMENTS = {"cartpole": cartpole, "bandits": bandits, "ragged": ragged}
ALGORITHMS: dict[str, tuple[type[Model], dict[str, Any]]] = {
    "ppo": (RL2PPO, {}),
    "trpo": (RL2TRPO, {"target_kl": 1e-4}),
    "natural": (RL2TRPO, {"step": "conjugate-gradient", "cg_max_steps": 2, "n_critic_updates": 1}),
    "lstm": (RL2PPO, {"policy_kwargs": {"hidden_size": 8, "memory": "lstm"}}),
}


def make_model(
    env: VecEnv | gym.Env[Any, Any], algorithm: type[Model] = RL2PPO, **options: Any
) -> Model:
    columns = env.num_envs if isinstance(env, VecEnv) else 1
    return algorithm(
        "GRUPolicy",
        env,
        learning_rate=lambda left: 0.01 * left,
        n_steps=STEPS,
        batch_size=STEPS * max(1, columns // 2),
        seed=0,
        **{"n_epochs": 1, "policy_kwargs": {"hidden_size": 8, "weight_norm": True}, **options},
    )


class SaveAt(BaseCallback):
    """Saves when that many rollouts have been learned from."""

    def __init__(self, rollouts: int, path: Path):
        super().__init__()
        self.rollouts = rollouts
        self.path = path

    def _on_rollout_start(self) -> None:
        if self.num_timesteps == self.rollouts * STEPS * self.training_env.num_envs:
            self.model.save(self.path)

    def _on_step(self) -> bool:
        return True


def everything(model: Model) -> dict[str, Any]:
    """All that the rest of a training depends on."""
    optimiser = model.policy.optimizer.state_dict()
    moments = {
        f"{name} {i}": moment
        for i, state in optimiser["state"].items()
        for name, moment in state.items()
    }
    assert model.env is not None
    assert isinstance(model._last_obs, dict)
    model.action_space.seed(0)
    actions = np.array([model.action_space.sample() for _ in range(model.n_envs)])
    next_obs, rewards, _, _ = model.env.step(actions)
    assert isinstance(next_obs, dict)
    return {
        **model.policy.state_dict(),
        **moments,
        **{f"obs {key}": th.as_tensor(value) for key, value in model._last_obs.items()},
        **{f"next obs {key}": th.as_tensor(value) for key, value in next_obs.items()},
        "next rewards": th.as_tensor(rewards),
        "memory": model._memory,
        "random": th.get_rng_state(),
        "learning rate": th.tensor(optimiser["param_groups"][0]["lr"]),
        "steps": th.tensor([model.num_timesteps, model._n_updates]),
    }


@pytest.mark.usefixtures("recurrence")
@pytest.mark.parametrize(
    ("environment", "algorithm"),
    [*product(ENVIRONMENTS, ["ppo", "trpo"]), ("ragged", "natural"), ("ragged", "lstm")],
)
def test_a_resumed_training_is_the_uninterrupted_one(
    environment: str, algorithm: str, tmp_path: Path
) -> None:
    make_env = ENVIRONMENTS[environment]
    kind, options = ALGORITHMS[algorithm]
    path = tmp_path / "model.zip"
    model = make_model(make_env(), kind, **options)
    total = 4 * STEPS * model.n_envs
    model.learn(total, SaveAt(2, path))
    expected = everything(model)
    th.manual_seed(123)  # what the process did in between matters not

    resumed = kind.load(path, make_env(), force_reset=False)
    assert resumed.num_timesteps == total // 2
    assert isinstance(resumed._last_obs, dict)
    assert (resumed._last_obs["start"] == 0).any()  # inside a trial
    resumed.learn(total - resumed.num_timesteps, reset_num_timesteps=False)

    found = everything(resumed)
    assert found.keys() == expected.keys()
    different = [key for key in expected if not th.equal(found[key], expected[key])]
    assert different == []


def rewrite_as_format_1(path: Path) -> None:
    """Make of a checkpoint what was written before there were memories to choose from."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    state = th.load(io.BytesIO(members["policy.pth"]))
    stream = io.BytesIO()
    th.save({name.replace(".memory.", ".gru."): part for name, part in state.items()}, stream)
    members["policy.pth"] = stream.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_a_checkpoint_of_format_1_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options had other defaults, and its GRU another name."""
    path, earlier = tmp_path / "model.zip", {"hidden_size": 256, "action_reward": False}
    model = make_model(ragged(), policy_kwargs=earlier)
    model.learn(STEPS * 3)
    model.policy_kwargs = {}  # which meant those
    monkeypatch.setattr(resuming, "FORMAT", 1)
    model.save(path)
    rewrite_as_format_1(path)
    monkeypatch.undo()
    model.policy_kwargs = earlier

    resumed = RL2PPO.load(path, ragged(), force_reset=False)
    resumed.learn(2 * STEPS * 3, reset_num_timesteps=False)
    resumed.save(tmp_path / "again.zip")
    again = RL2PPO.load(tmp_path / "again.zip")
    th.set_rng_state(th.as_tensor(model.resume_state["torch_rng"]))
    model.learn(2 * STEPS * 3, reset_num_timesteps=False)

    expected = model.policy.state_dict()
    for found in (resumed.policy.state_dict(), again.policy.state_dict()):
        assert [name for name in expected if not th.equal(found[name], expected[name])] == []


def test_seconds_add_up_over_save_and_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    class TakesTenSeconds(BaseCallback):
        """What a rollout does."""

        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            nonlocal now
            now += 10

    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("rl2_sb3.algorithms.saving.time", clock)
    path, rollout = tmp_path / "model.zip", STEPS * 4
    model = make_model(bandits())
    model.learn(4 * rollout, [TakesTenSeconds(), SaveAt(3, path)])
    now += 1000  # nothing is trained
    model.save(tmp_path / "later.zip")
    assert model.seconds == 40

    resumed = RL2PPO.load(path, bandits(), force_reset=False)
    assert resumed.seconds == 30
    resumed.learn(2 * rollout, TakesTenSeconds(), reset_num_timesteps=False)
    resumed.save(path)
    resumed.save_agent(tmp_path / "agent.safetensors")

    assert RL2PPO.load(path).seconds == resumed.seconds == 50
    assert load_agent(tmp_path / "agent.safetensors").info["seconds"] == 50
    assert resumed.learn(rollout, TakesTenSeconds()).seconds == 10  # begun anew


def test_a_new_beginning_has_new_trials(tmp_path: Path) -> None:
    model = make_model(ragged()).learn(STEPS * 3)
    model.save(tmp_path / "model")

    loaded = RL2PPO.load(tmp_path / "model", make_trials(RaggedTasks(), 5, episodes=3))

    assert loaded.n_envs == 5
    assert (loaded._memory == 0).all()
    loaded.learn(STEPS * 5)
    assert loaded.num_timesteps == STEPS * 5


def test_a_model_for_acting_needs_no_environment(tmp_path: Path) -> None:
    model = make_model(bandits()).learn(STEPS * 4)
    model.save(tmp_path / "model")

    loaded = RL2PPO.load(tmp_path / "model")

    obs = bandits().reset()
    assert isinstance(obs, dict)
    actions, state = loaded.predict(obs, deterministic=True)
    expected, expected_state = model.predict(obs, deterministic=True)
    np.testing.assert_array_equal(actions, expected)
    assert state is not None
    assert expected_state is not None
    np.testing.assert_array_equal(state[0], expected_state[0])
    loaded.set_env(bandits())
    loaded.learn(STEPS * 4)


@pytest.mark.parametrize("trained_on", [RaggedEnv, lambda: TrialWrapper(RaggedEnv(), 3)])
def test_loading_takes_plain_environments_and_longer_trials(
    trained_on: Callable[[], gym.Env[Any, Any]], tmp_path: Path
) -> None:
    model = RL2PPO(
        "GRUPolicy",
        trained_on(),
        n_steps=4,
        policy_kwargs={"hidden_size": 4},
        episodes=3 if trained_on is RaggedEnv else None,
    )
    model.save(tmp_path / "model")

    plain = RL2PPO.load(tmp_path / "model", RaggedEnv())
    longer = RL2PPO.load(tmp_path / "model", TrialWrapper(RaggedEnv(), 5))

    assert plain.episodes == 3
    assert plain.env is not None
    assert plain.env.get_attr("episodes") == [3]
    assert longer.episodes == 5
    longer.learn(4)


def test_a_stream_is_written_and_read() -> None:
    model = make_model(bandits())
    stream = io.BytesIO()

    model.save(stream)
    stream.seek(0)
    loaded = RL2PPO.load(stream, bandits(), force_reset=False)

    for ours, theirs in zip(loaded.policy.parameters(), model.policy.parameters(), strict=True):
        assert th.equal(ours, theirs)


def test_a_failing_save_leaves_the_last_good_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deep" / "model"
    model = make_model(bandits())
    model.save(path)
    good = path.with_suffix(".zip").read_bytes()

    def full_disk(*_: Any) -> None:
        raise OSError("No space left on device")

    model.learn(STEPS * 4)
    with monkeypatch.context() as patch:
        patch.setattr(th, "save", full_disk)
        with pytest.raises(OSError, match="No space left"):
            model.save(path)

    assert path.with_suffix(".zip").read_bytes() == good
    assert RL2PPO.load(path, bandits()).num_timesteps == 0
    model.save(path)
    assert RL2PPO.load(path, bandits()).num_timesteps == STEPS * 4
    assert [file.name for file in path.parent.iterdir()] == ["model.zip"]


def test_resuming_under_a_monitor_around_the_trials(tmp_path: Path) -> None:
    """Where ``make_vec_env`` was given a function that makes trials."""

    def model() -> RL2PPO:
        env = make_vec_env(lambda: TrialWrapper(gym.make("CartPole-v1"), 2), 2)
        constant = {"learning_rate": 1e-3, "ent_coef": 0.0}  # however long the run is
        network = {"hidden_size": 8}
        return RL2PPO("GRUPolicy", env, seed=3, n_steps=30, policy_kwargs=network, **constant)

    whole, first = model().learn(240), model().learn(120)
    first.save(tmp_path / "first")
    env = model().env
    second = RL2PPO.load(tmp_path / "first.zip", env, force_reset=False)
    second.learn(120, reset_num_timesteps=False)
    for name, tensor in whole.policy.state_dict().items():
        th.testing.assert_close(second.policy.state_dict()[name], tensor, rtol=0, atol=0)


def test_two_seeds_have_no_trial_in_common() -> None:
    tasks = set()
    for seed in (0, 1):
        model = RL2PPO("GRUPolicy", "CartPole-v1", seed=seed, policy_kwargs={"hidden_size": 4})
        env: Any = model.env
        env.reset()
        tasks |= {trial._task for trial in env.envs}
    assert len(tasks) == 16
