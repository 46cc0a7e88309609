"""Habits of SB3's users: networks, optimisers, schedules and policies of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor
from stable_baselines3.common.utils import LinearSchedule

from rl2_sb3 import RL2PPO, RL2TRPO, CnnGRUPolicy, GRUPolicy, load_agent, make_trials
from rl2_sb3.agent_file import describe_agent, save_agent
from tests.envs import RaggedEnv
from tests.test_habits_evaluation import small, trial
from tests.test_habits_saving import same


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
    with pytest.raises(ValueError, match=r"Own of .*habits_own_parts cannot be imported by"):
        RL2PPO(Own, env, policy_kwargs={"hidden_size": 4})
    with pytest.raises(ValueError, match="Picky has options of its own, scale, which no agent's"):
        RL2PPO(Picky, env)
    policy = Own(env.observation_space, env.action_space, lambda _: 0.0, hidden_size=4)
    with pytest.raises(ValueError, match="cannot be imported by name"):
        save_agent(policy, tmp_path / "own.safetensors")
