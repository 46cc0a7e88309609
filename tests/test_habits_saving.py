"""Habits of SB3's users: saving, loading, and parts of one's own."""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv

from rl2_sb3 import RL2PPO, RL2TRPO, CnnGRUPolicy, GRUPolicy, load_agent, make_trials
from rl2_sb3.agent_file import describe_agent, save_agent
from rl2_sb3.runs.keeping import Keeper
from tests.envs import RaggedEnv
from tests.test_habits_evaluation import Paid, small, trial


class OwnFeatures(BaseFeaturesExtractor):
    """What an SB3 user writes: everything in a Dict through a layer."""

    def __init__(self, observation_space: spaces.Dict, width: int = 4):
        super().__init__(observation_space, width)
        self.sizes = [spaces.utils.flatdim(space) for space in observation_space.values()]
        self.layer = th.nn.Linear(sum(self.sizes), width)

    def forward(self, observations: dict[str, th.Tensor]) -> th.Tensor:
        features: th.Tensor = self.layer(th.cat([x.flatten(1) for x in observations.values()], 1))
        return features


def with_network(env: Any = None, kind: Any = RL2PPO, **network: Any) -> Any:
    env = make_trials(RaggedEnv, 2, 3, seed=0) if env is None else env
    network = {"hidden_size": 4, **network}
    options = {"n_steps": 8, "n_epochs": 1, "learning_rate": 1e-2, "ent_coef": 0.0}
    return kind("GRUPolicy", env, seed=0, policy_kwargs=network, **options)


def same(ours: Any, theirs: Any) -> bool:
    pairs = zip(ours.policy.parameters(), theirs.policy.parameters(), strict=True)
    return all(th.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("extractor", [OwnFeatures, CombinedExtractor])
def test_features_extractors_are_saved_into_agents_by_name(extractor: Any, tmp_path: Path) -> None:
    options = {"width": 6} if extractor is OwnFeatures else {}
    model = with_network(
        features_extractor_class=extractor, features_extractor_kwargs=options
    ).learn(16)
    model.save_agent(tmp_path / "agent.safetensors")
    name = f"{extractor.__module__}:{extractor.__name__}"
    assert describe_agent(tmp_path / "agent.safetensors")["features_extractor"] == name
    agent = load_agent(tmp_path / "agent.safetensors")
    assert agent.policy.features_extractor_class is extractor
    obs = model.env.reset()
    expected, _ = model.predict(obs, deterministic=True)
    np.testing.assert_array_equal(agent.predict(obs, deterministic=True)[0], expected)


def test_features_extractors_that_have_no_name_are_refused_before_training() -> None:
    class Local(OwnFeatures):
        pass

    with pytest.raises(ValueError, match=r"Local of .* cannot be imported by name.* such as my_"):
        with_network(features_extractor_class=Local)
    with pytest.raises(ValueError, match=r"features_extractor_class=5: a subclass of BaseFeatures"):
        with_network(features_extractor_class=5)
    with pytest.raises(ValueError, match="numbers, texts, lists and dicts alone"):
        with_network(
            features_extractor_class=OwnFeatures, features_extractor_kwargs={"width": np.int64(4)}
        )


def test_features_extractors_of_a_script_are_refused_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(OwnFeatures, "__module__", "__main__")
    with pytest.raises(ValueError, match="OwnFeatures of __main__ cannot be imported by name"):
        with_network(features_extractor_class=OwnFeatures)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:Features", "There is no 'no_such_module:Features' here: install"),
        ("os:system", "'os:system' is of Python's own library"),
        ("numpy:array", "'numpy:array' is no BaseFeaturesExtractor"),
        ("torch.nn:Linear", "'torch.nn:Linear' is no BaseFeaturesExtractor"),
        ("idlelib.idle:Features", "'idlelib.idle:Features' is of Python's own library"),
        (".x:Features", "There is no '.x:Features' here"),
        ("gibberish", "There is no 'gibberish' here"),
        ("", "There is no '' here"),
    ],
)
def test_names_in_agents_files_stand_for_features_extractors_alone(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "rl2_sb3.agent_file.name_of",
        lambda kind: name if issubclass(kind, BaseFeaturesExtractor) else "ReLU",
    )
    monkeypatch.setattr("rl2_sb3.agent_file._own_features", lambda _: None)
    with_network().save_agent(tmp_path / "agent.safetensors")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=message):
        load_agent(tmp_path / "agent.safetensors")


def test_features_extractors_that_know_of_no_privilege_are_not_shown_it() -> None:
    trials = make_trials("bandit", 4, 3, privileged=True)
    with pytest.raises(ValueError, match="Privileged trials with OwnFeatures: it would let the"):
        with_network(trials, features_extractor_class=OwnFeatures)


@pytest.mark.parametrize(
    "optimizer",
    [
        {"optimizer_class": th.optim.RMSprop, "optimizer_kwargs": {"alpha": 0.9}},
        {"optimizer_class": th.optim.SGD, "optimizer_kwargs": {"momentum": 0.9}},
        {"optimizer_kwargs": {"eps": 1e-3}},
    ],
)
@pytest.mark.parametrize("kind", [RL2PPO, RL2TRPO])
def test_optimisers(optimizer: dict[str, Any], kind: Any, tmp_path: Path) -> None:
    whole = with_network(kind=kind, **optimizer).learn(2 * 16)
    part = with_network(kind=kind, **optimizer).learn(16)
    part.save(tmp_path / "model")
    env = make_trials(RaggedEnv, 2, 3)
    resumed = kind.load(tmp_path / "model", env, force_reset=False)
    assert type(resumed.policy.optimizer) is optimizer.get("optimizer_class", th.optim.Adam)
    group = resumed.policy.optimizer.param_groups[0]
    assert optimizer["optimizer_kwargs"].items() <= group.items()
    assert not same(resumed, whole)
    resumed.learn(16, reset_num_timesteps=False)
    assert same(resumed, whole)


def test_schedules() -> None:
    rates: list[float] = []

    class Rates(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            rates.append(self.model.policy.optimizer.param_groups[0]["lr"])

    schedule = LinearSchedule(0.01, 0.0, 1.0)
    model = small(
        trial(),
        learning_rate=lambda left: 0.01 * left,
        clip_range=schedule,
        clip_range_vf=schedule,
        ent_coef=schedule,
    )
    model.learn(4 * 8, Rates())
    assert rates[1:] == pytest.approx([0.0075, 0.005, 0.0025])
    assert model.logger.name_to_value["train/clip_range"] == pytest.approx(0)
    assert model.logger.name_to_value["train/clip_range_vf"] == pytest.approx(0)


@pytest.mark.parametrize("kind", [RL2PPO, RL2TRPO])
@pytest.mark.parametrize(
    ("option", "value", "instead"),
    [
        ("use_sde", True, "log_std_init"),
        ("sde_sample_freq", 4, "log_std_init"),
        ("rollout_buffer_class", dict, "TrialRolloutBuffer"),
        ("rollout_buffer_kwargs", {"a": 1}, "TrialRolloutBuffer"),
    ],
)
def test_options_of_sb3_that_trials_have_no_use_for(
    kind: Any, option: str, value: Any, instead: str
) -> None:
    with pytest.raises(TypeError, match=rf"{kind.__name__} has no option '{option}': .*{instead}"):
        kind("GRUPolicy", trial(), **{option: value})


def test_their_defaults_are_taken() -> None:
    model: Any = RL2PPO("GRUPolicy", trial(), use_sde=False, sde_sample_freq=-1)
    assert not model.use_sde
    with pytest.raises(TypeError, match="'sub_sampling_factor': cg_share"):
        RL2TRPO("GRUPolicy", trial(), sub_sampling_factor=2)
    RL2TRPO("GRUPolicy", trial(), sub_sampling_factor=1, rollout_buffer_class=None)


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ({"net_arch": [64, 64]}, "'net_arch': layers_before and layers_after"),
        ({"net_arch": {"pi": [64], "vf": [64]}}, "'net_arch': layers_before and layers_after"),
        ({"lstm_hidden_size": 64}, "'lstm_hidden_size': hidden_size, with memory='lstm'"),
        ({"n_lstm_layers": 2}, "'n_lstm_layers': one memory"),
        ({"shared_lstm": True}, "'shared_lstm': shared=True"),
        ({"enable_critic_lstm": True}, "'enable_critic_lstm': value_network"),
        ({"lstm_kwargs": {}}, "'lstm_kwargs': memory_kwargs"),
        ({"ortho_init": False}, "'ortho_init': .* weight_norm=True"),
        ({"share_features_extractor": False}, "'share_features_extractor': shared=True"),
        ({"full_std": True}, "'full_std': .* log_std_init"),
        ({"use_expln": True}, "'use_expln': .* log_std_init"),
        ({"squash_output": True}, "'squash_output': .* clipped"),
        ({"use_sde": True}, "'use_sde': .*log_std_init"),
    ],
    ids=str,
)
def test_options_of_sb3s_policies_are_called_otherwise(option: Any, instead: str) -> None:
    with pytest.raises(ValueError, match=instead):
        with_network(trial(), **option)


@pytest.mark.parametrize("policy", ["MlpPolicy", "CnnPolicy", "MultiInputPolicy", "MlpLstmPolicy"])
def test_policies_of_sb3_are_refused_with_the_names_of_ours(policy: str) -> None:
    with pytest.raises(ValueError, match=rf"policy='{policy}': use one of \['GRUPolicy'"):
        RL2PPO(policy, trial())


def test_loading_without_an_environment(tmp_path: Path) -> None:
    model = small(trial()).learn(8)
    model.save(tmp_path / "model")
    loaded = RL2PPO.load(tmp_path / "model")
    obs, _ = trial().reset(seed=0)
    assert loaded.predict(obs, deterministic=True)[0] == model.predict(obs, deterministic=True)[0]
    with pytest.raises(ValueError, match=r"no environment to learn in: call set_env\(env\) first"):
        loaded.learn(8)
    loaded.set_env(Paid())
    assert loaded.env is not None
    assert loaded.env.get_attr("episodes") == [3]
    loaded.learn(8, reset_num_timesteps=False)
    assert loaded.num_timesteps == 16


def test_set_env_begins_new_trials(tmp_path: Path) -> None:
    model = small(make_trials(RaggedEnv, 2, 3, seed=0)).learn(16)
    model.set_env(make_trials(RaggedEnv, 2, 3, seed=1))
    model.learn(16, reset_num_timesteps=False)
    assert model.rollout_buffer.observations["start"][0].tolist() == [[1], [1]]

    model.set_env(make_trials(RaggedEnv, 2, 3, seed=1))
    model.save(tmp_path / "model")  # whose new trials have not begun
    RL2PPO.load(tmp_path / "model", make_trials(RaggedEnv, 2, 3), force_reset=False).learn(16)


def test_custom_objects(tmp_path: Path) -> None:
    small(trial(), learning_rate=lambda left: 0.01 * left).learn(8).save(tmp_path / "model")
    changed = {"learning_rate": 0.5, "lr_schedule": lambda _: 0.5, "clip_range": lambda _: 0.125}
    loaded = RL2PPO.load(tmp_path / "model", trial(), custom_objects=changed)
    loaded.learn(8)
    assert loaded.policy.optimizer.param_groups[0]["lr"] == 0.5
    assert loaded.logger.name_to_value["train/clip_range"] == 0.125


class Mine(RL2PPO):
    """A subclass with options of its own."""

    def __init__(self, policy: Any, env: Any, bonus: float = 1.0, **options: Any):
        super().__init__(policy, env, **options)
        self.bonus = bonus


def test_subclasses_with_options_of_their_own(tmp_path: Path) -> None:
    model = Mine("GRUPolicy", trial(), bonus=2.0, n_steps=8, gamma=0.5).learn(8)
    model.save(tmp_path / "model")
    loaded = Mine.load(tmp_path / "model")
    assert (loaded.bonus, loaded.gamma, loaded.n_steps) == (2.0, 0.5, 8)
    with pytest.raises(TypeError, match="Mine has no option 'gama'"):
        Mine("GRUPolicy", trial(), gama=0.5)


def test_get_and_set_parameters() -> None:
    ours, theirs = small(trial()).learn(8), small(trial(), seed=1)
    assert not same(ours, theirs)
    parameters = ours.get_parameters()
    assert set(parameters) == {"policy", "policy.optimizer"}
    theirs.set_parameters(parameters)  # type: ignore[arg-type]
    assert same(ours, theirs)
    assert th.equal(ours.policy.value_scale, theirs.policy.value_scale)


class Mortal(RaggedEnv):
    """An environment whose process dies at action 1, if it may."""

    deadly = False

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=seed)

    def die_from_now_on(self) -> None:
        self.deadly = True

    def step(self, action: Any) -> Any:
        if self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


def check_saved(model: Any, path: Path) -> None:
    """The model is saved and plays on, and says that it cannot go on exactly."""
    with pytest.warns(UserWarning, match=r"Saved without its trials.*force_reset=True"):
        model.save(path)
    loaded = type(model).load(path, make_trials(RaggedEnv, model.n_envs, 3))
    assert same(loaded, model)
    loaded.learn(16, reset_num_timesteps=False)
    with pytest.raises(ValueError, match=r"saved without its trials .* use force_reset=True"):
        type(model).load(path, make_trials(RaggedEnv, model.n_envs, 3), force_reset=False)


def test_saving_after_the_environment_was_closed(tmp_path: Path) -> None:
    env = make_trials(RaggedEnv, 2, 3, workers="subprocess")
    model = small(env).learn(16)
    env.close()
    check_saved(model, tmp_path / "model")


@pytest.mark.parametrize("workers", ["in-process", "threads"])
def test_saving_after_an_environment_in_this_process_was_closed(
    workers: Any, tmp_path: Path
) -> None:
    env = make_trials(RaggedEnv, 2, 3, workers=workers)
    model = small(env).learn(16)
    env.close()
    model.save(tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RL2PPO.load(tmp_path / "model", make_trials(RaggedEnv, 2, 3), force_reset=False)


@pytest.mark.parametrize("column", [0, 1])
def test_saving_after_a_worker_died(column: int, tmp_path: Path) -> None:
    env = make_trials(Mortal, 2, 3, workers="subprocess")
    model = small(env).learn(16)
    env.env_method("die_from_now_on", indices=[column])
    with pytest.raises((EOFError, OSError)):
        model.learn(16, reset_num_timesteps=False)
    check_saved(model, tmp_path / "model")
    good = (tmp_path / "model.zip").read_bytes()
    with pytest.raises((EOFError, OSError)):
        model.save(tmp_path / "model", exact=True)
    keeper = Keeper(model, tmp_path / "model.zip", 0)
    keeper._begin = 0
    with pytest.raises((EOFError, OSError)):  # nor does a run replace its last checkpoint
        keeper.on_rollout_start()
    assert (tmp_path / "model.zip").read_bytes() == good
    kill(env)


def kill(env: VecEnv) -> None:
    assert isinstance(env, SubprocVecEnv)
    for process in env.processes:
        process.kill()


def test_saving_in_the_middle_of_a_step(tmp_path: Path) -> None:
    env = make_trials(RaggedEnv, 2, 3, workers="subprocess")
    model = small(env).learn(16)
    env.step_async(np.zeros(2, np.int64))  # such as where an interrupt came
    check_saved(model, tmp_path / "model")
    env.step_wait()
    env.close()


def test_what_others_did_with_the_trials_is_not_saved(tmp_path: Path) -> None:
    model = small(make_trials(RaggedEnv, 2, 3, seed=0)).learn(16)
    assert model.env is not None
    model.env.step(np.zeros(2, np.int64))
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="was stepped by others"):
        RL2PPO.load(tmp_path / "model", make_trials(RaggedEnv, 2, 3), force_reset=False)
    RL2PPO.load(tmp_path / "model", make_trials(RaggedEnv, 2, 3)).learn(16)


def test_what_others_do_with_trials_that_were_taken_up_is_noticed(tmp_path: Path) -> None:
    small(make_trials(RaggedEnv, 2, 3, seed=0)).learn(16).save(tmp_path / "model")
    env = make_trials(RaggedEnv, 2, 3)
    model = RL2PPO.load(tmp_path / "model", env, force_reset=False)
    env.step(np.zeros(2, np.int64))
    model.learn(16, reset_num_timesteps=False)
    assert model.rollout_buffer.observations["start"][0].tolist() == [[1], [1]]


def test_registered_environments_are_closed_once() -> None:
    env = gym.make("CartPole-v1")
    model = small(env)
    assert model.env is not None
    model.env.close()
    model.env.close()


class Doubtful(GRUPolicy):
    """Scales its logits down."""

    def _distribution(self, latent: Any) -> Any:
        return self._get_action_dist_from_latent(latent / 10)


class Picky(CnnGRUPolicy):
    """Has an option that no file would hold."""

    def __init__(self, *args: Any, scale: float = 1.0, **options: Any):
        super().__init__(*args, **options)


def test_an_importable_policy_goes_into_the_file_by_name(tmp_path: Any) -> None:
    env = make_trials("bandit", 4, 2, seed=0)
    model = RL2PPO(Doubtful, env, policy_kwargs={"hidden_size": 4}, seed=0)
    model.save_agent(tmp_path / "own.safetensors")
    policy = load_agent(tmp_path / "own.safetensors").policy
    assert type(policy) is Doubtful
    seen: Any = env.reset()
    chances = []
    for each in (policy, model.policy):
        observation: Any = each.obs_to_tensor(seen)[0]
        observation["memory"] = each.initial_memory(4)
        chances.append(each.get_distribution(observation).distribution.probs.tolist())  # type: ignore[union-attr]
    assert chances[0] == chances[1]


def test_a_policy_that_no_file_describes_is_refused_before_training(tmp_path: Any) -> None:
    class Own(GRUPolicy):
        pass

    env = make_trials("bandit", 4, 2)
    with pytest.raises(ValueError, match=r"Own of .*habits_saving cannot be imported by"):
        RL2PPO(Own, env, policy_kwargs={"hidden_size": 4})
    with pytest.raises(ValueError, match="Picky has options of its own, scale, which no agent's"):
        RL2PPO(Picky, env)
    policy = Own(env.observation_space, env.action_space, lambda _: 0.0, hidden_size=4)
    with pytest.raises(ValueError, match="cannot be imported by name"):
        save_agent(policy, tmp_path / "own.safetensors")


def test_rows_of_the_table_are_tests() -> None:
    table = Path(__file__).parents[1] / "docs" / "sb3-habits.md"
    lines = table.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[-2] for line in lines if line.startswith("| `") or "`test_" in line]
    tests = {
        line.split("(")[0].removeprefix("def ")
        for file in Path(__file__).parent.glob("test_habits_*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("def test_")
    }
    named = {name.strip("` ") for row in rows for name in row.split(",")}
    assert named <= tests
    assert len(rows) > 30
