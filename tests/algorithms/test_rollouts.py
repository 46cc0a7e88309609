from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.config import TrainConfig
from rl2_sb3.trials import BatchedTrials, TrialWrapper, make_trials
from tests.algorithms.collecting import Clockwork, Model, ReplayErrors, collect, replay_error
from tests.envs import ENVS, FragileEnv, GoalTasks, RaggedEnv, RaggedTasks
from tests.memories.counting import count_steps

TINY: dict[str, Any] = {"n_epochs": 1, "seed": 0}
WITHOUT_BF16 = pytest.mark.filterwarnings("ignore:This CPU has no bf16")


def make_model(
    env: VecEnv | gym.Env[Any, Any] | str,
    algorithm: type[Model] = RL2PPO,
    n_steps: int = 7,
    policy: str = "GRUPolicy",
    network: dict[str, Any] | None = None,
    **options: Any,
) -> Model:
    columns = env.num_envs if isinstance(env, VecEnv) else 1
    kwargs = {"hidden_size": 8, **(network or {})}
    sizes = {"n_steps": n_steps, "batch_size": n_steps * max(1, columns)}
    return algorithm(policy, env, policy_kwargs=kwargs, **{**TINY, **sizes, **options})


NETWORKS: dict[str, dict[str, Any]] = {
    "separate": {},
    "shared": {"shared": True, "layers_before": [6]},
    "sums": {"value_network": "sums", "episode_units": 8},
    "layers": {"layers_before": [6, 5], "layers_after": [7]},
    "weight-norm": {"weight_norm": True, "layers_after": [7]},
    "episode-units": {"episode_units": 3},
    "relu": {"candidate": "relu"},
    "lstm": {"memory": "lstm"},
    "lstm-sums": {"memory": "lstm", "value_network": "sums", "layers_after": [7]},
    "bf16": {"precision": "bf16", "layers_before": [6]},
}
ALGORITHMS: dict[str, tuple[type[Model], dict[str, Any]]] = {
    "ppo": (RL2PPO, {}),
    "trpo": (RL2TRPO, {}),
    "natural": (RL2TRPO, {"step": "conjugate-gradient", "cg_max_steps": 2, "n_critic_updates": 1}),
}


@pytest.mark.usefixtures("recurrence")
@WITHOUT_BF16
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("trials", ["equal", "ragged"])
def test_learning_sees_what_acting_did(trials: str, network: str) -> None:
    env = make_trials("bandit" if trials == "equal" else RaggedTasks(), 6, episodes=3, seed=0)
    check_replay(make_model(env, network=NETWORKS[network]), network)


@pytest.mark.usefixtures("recurrence")
@WITHOUT_BF16
@pytest.mark.parametrize(
    ("algorithm", "network"),
    [("trpo", "separate"), ("trpo", "bf16"), ("natural", "separate"), ("natural", "shared")],
)
def test_learning_sees_what_acting_did_with_trpo(algorithm: str, network: str) -> None:
    kind, options = ALGORITHMS[algorithm]
    env = make_trials(RaggedTasks(), 6, episodes=3, seed=0)
    check_replay(make_model(env, kind, network=NETWORKS[network], **options), network)


@pytest.mark.parametrize("env", ["ragged", "ragged-truncating", "box", "multi-discrete"])
@pytest.mark.parametrize("shared", [False, True])
def test_learning_sees_what_acting_did_in_gymnasium(env: str, shared: bool) -> None:
    trials = make_trials(ENVS[env], 3, episodes=2, seed=0)
    check_replay(make_model(trials, network={"shared": shared}), "separate")


@pytest.mark.parametrize("shared", [False, True])
def test_learning_sees_what_acting_did_with_images(shared: bool) -> None:
    trials = make_trials(ENVS["image"], 3, episodes=2, seed=0)
    network = {"shared": shared, "features_extractor_kwargs": {"features_dim": 8}}
    check_replay(make_model(trials, policy="CnnGRUPolicy", network=network), "separate")


def check_replay(model: Model, network: str) -> None:
    check = ReplayErrors()

    model.learn(3 * model.n_steps * model.n_envs, check)

    assert len(check.errors) == 3
    assert check.inside  # the second block and the third resume a trial
    assert max(check.errors) < (0.05 if network == "bf16" else 1e-5)


def starts_seen(model: Model, blocks: int) -> np.ndarray:
    """Starts of all steps of some blocks, ``(steps, columns)``, and of the next one."""
    parts = []
    for _ in range(blocks):
        parts.append(collect(model).observations["start"][:, :, 0].copy())
    return np.concatenate(parts)


@pytest.mark.usefixtures("recurrence")
@pytest.mark.parametrize("make", [RaggedTasks, lambda: RaggedEnv])
def test_memory_lives_as_long_as_its_trial(make: Callable[[], Any]) -> None:
    model = make_model(make_trials(make(), 3, episodes=2, seed=0))
    count_steps(model.policy)

    starts = starts_seen(model, blocks=3)

    age = np.zeros(3)
    for started in starts:
        age = np.where(started, 1, age + 1)
    assert starts[1:].any()
    assert age.max() > 1
    np.testing.assert_array_equal(model._memory, np.repeat(age[:, None], 16, axis=1))


def test_a_lost_trial_has_the_value_of_what_would_have_come() -> None:
    def make() -> TrialWrapper:
        return TrialWrapper(FragileEnv(3), 2, GoalTasks(), order=[9])

    model = RL2PPO("GRUPolicy", DummyVecEnv([make]), n_steps=8, gamma=0.9, seed=0)
    model.policy.normalise_values(np.array([1.0, 3.0]))  # values are in units of their own
    lost: list[Any] = []

    class Note(BaseCallback):
        """Runs the value network step by step."""

        def _on_training_start(self) -> None:
            self.memory = model.policy.initial_memory(1)

        def value(self, obs: Any) -> float:
            tensors = {key: th.as_tensor(part[None]) for key, part in obs.items()}
            with th.no_grad():
                value, self.memory = model.policy.follow_values({**tensors, "memory": self.memory})
            return float(model.policy.value_in_rewards(value))

        def _on_step(self) -> bool:
            self.value({key: part[0] for key, part in self.locals["obs"].items()})
            if self.locals["infos"][0]["TimeLimit.truncated"]:
                obs = self.locals["infos"][0]["terminal_observation"]
                lost.append(self.value(obs))
            return True

    _, callback = model._setup_learn(1, Note())
    callback.on_training_start({}, {})
    assert model.env is not None
    model.collect_rollouts(model.env, callback, model.rollout_buffer, 8)
    (value,) = lost
    assert abs(value) > 0.01
    expected = np.zeros(8)
    expected[2] = 0.9 * value
    np.testing.assert_allclose(model.rollout_buffer.rewards[:, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(model.rollout_buffer.episode_starts[:4, 0], [1, 0, 0, 1])


@pytest.mark.usefixtures("recurrence")
def test_episode_units_live_as_long_as_their_episode() -> None:
    trials = BatchedTrials(Clockwork(), n_envs=2, episodes=3)
    model = make_model(trials, n_steps=5, network={"hidden_size": 2, "episode_units": 1})
    count_steps(model.policy)

    collect(model)

    # Five steps of the trial are done, one of them of the third episode.
    np.testing.assert_array_equal(model._memory, [[5, 1, 5, 1]] * 2)


TRAINED_ON: dict[str, Any] = {
    "tasks' name": "bandit",
    "id": "CartPole-v1",
    "id with a Box": "Pendulum-v1",
    "environment": lambda: gym.make("CartPole-v1"),
    "monitored": lambda: Monitor(gym.make("CartPole-v1")),
    "vectors": lambda: DummyVecEnv([RaggedEnv, RaggedEnv]),
    "trials": lambda: make_trials("bandit", 4),
    "trial": lambda: TrialWrapper(RaggedEnv(), 2),
    "gymnasium tasks": lambda: make_trials(GoalTasks(), 2),
    **ENVS,
}


@pytest.mark.parametrize("source", TRAINED_ON)
def test_trpo_trains_on(source: str) -> None:
    env = TRAINED_ON[source]
    check_training(RL2TRPO, env if isinstance(env, str) else env(), source)


@pytest.mark.parametrize("source", ["tasks' name", "environment", "box", "multi-binary", "image"])
def test_ppo_trains_on(source: str) -> None:
    env = TRAINED_ON[source]
    check_training(RL2PPO, env if isinstance(env, str) else env(), source)


@pytest.mark.parametrize("source", ["box", "multi-discrete", "multi-binary", "dict"])
def test_natural_step_trains_on(source: str) -> None:
    kind, options = ALGORITHMS["natural"]
    check_training(kind, ENVS[source](), source, **options)


def check_training(algorithm: type[Model], env: Any, source: str, **options: Any) -> None:
    policy = "GRUPolicy"
    network: dict[str, Any] = {"hidden_size": 8}
    if source == "image":
        policy = "CnnGRUPolicy"
        network["features_extractor_kwargs"] = {"features_dim": 8}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = algorithm(policy, env, n_steps=8, policy_kwargs=network, **TINY, **options)
        before = {name: p.detach().clone() for name, p in model.policy.named_parameters()}
        model.learn(2 * 8 * model.n_envs)

    assert model.num_timesteps == 2 * 8 * model.n_envs
    logged = model.logger.name_to_value
    assert {"train/value_loss", "train/explained_variance"} < set(logged)
    numbers = {k: v for k, v in logged.items() if k != "train/explained_variance"}
    assert all(np.isfinite(value) for value in numbers.values()), numbers
    for name, parameter in model.policy.named_parameters():
        assert parameter.isfinite().all()
        if "value" in name:
            assert not th.equal(parameter, before[name]), name


def test_learn_takes_as_many_steps_as_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = make_model(make_trials("bandit", 2, episodes=2), n_steps=2), []
    monkeypatch.setattr(PPO, "learn", lambda self, steps, *_: asked.append(steps))

    model.learn()

    assert asked == [TrainConfig(task="bandit").steps]


def test_any_batch_of_columns_is_taken_without_a_warning() -> None:
    trials = make_trials("bandit", 5, episodes=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for algorithm in (RL2PPO, RL2TRPO):
            algorithm("GRUPolicy", trials, batch_size=4)
    with pytest.raises(ValueError, match=r"batch_size=5 cuts trials.*n_steps=2"):
        RL2PPO("GRUPolicy", trials, batch_size=5)


@pytest.mark.parametrize("policy", ["MlpPolicy", "GRUpolicy", ActorCriticPolicy])
def test_other_policies_are_refused(policy: Any) -> None:
    with pytest.raises(ValueError, match=r"use one of \['GRUPolicy', 'CnnGRUPolicy'\]"):
        RL2TRPO(policy, make_trials("bandit", 2))


class Stop(BaseCallback):
    """Stops a training in the middle of a block, or breaks it."""

    def __init__(self, at: int, error: type[BaseException] | None = None):
        super().__init__()
        self.at = at
        self.error = error
        self.begun = 0

    def _init_callback(self) -> None:
        self.begun += 1

    def _on_step(self) -> bool:
        if self.n_calls == self.at and self.error is not None:
            raise self.error
        return self.n_calls < self.at


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_training_goes_on_after_it_was_stopped(error: type[BaseException] | None) -> None:
    model = make_model(make_trials(RaggedTasks(), 3, episodes=3, seed=0))
    count_steps(model.policy)
    stop, check = Stop(4, error), ReplayErrors()
    try:
        model.learn(1000, stop)
    except KeyboardInterrupt:
        assert error is not None

    assert stop.begun == 1
    assert model.num_timesteps == 4 * 3
    assert (model._memory == 4).any()  # some trial is as old as the training
    model.learn(2 * 7 * 3, [check], reset_num_timesteps=False)
    assert model.num_timesteps == (4 + 2 * 7) * 3
    assert max(check.errors) < 1e-5


def test_errors_of_callbacks_reach_the_caller() -> None:
    model = make_model(make_trials("bandit", 2, episodes=4))
    with pytest.raises(ZeroDivisionError):
        model.learn(100, lambda *_: 1 // 0 > 0)


def test_evaluation_in_between_changes_no_training(tmp_path: Path) -> None:
    def train(callback: BaseCallback | None) -> Model:
        model = make_model(make_trials(RaggedTasks(), 3, episodes=3, seed=0))
        return model.learn(2 * 7 * 3, callback)

    other = make_trials(RaggedTasks(), 2, episodes=3, seed=1)
    evaluation = EvalCallback(
        other, n_eval_episodes=4, eval_freq=5, verbose=0, warn=False, log_path=str(tmp_path)
    )
    disturbed, alone = train(evaluation), train(None)

    assert len(evaluation.evaluations_results) == 2
    for ours, theirs in zip(disturbed.policy.parameters(), alone.policy.parameters(), strict=True):
        assert th.equal(ours, theirs)


def test_set_env_makes_trials_as_long_as_before() -> None:
    model = make_model(TrialWrapper(RaggedEnv(), 3))
    assert model.episodes == 3

    model.set_env(RaggedEnv())
    assert model.env is not None
    assert model.env.get_attr("episodes") == [3]
    model.learn(14)

    model.set_env(TrialWrapper(RaggedEnv(), 5))
    assert model.episodes == 5
    model.learn(14)
    assert replay_error(model) < 1


@pytest.mark.parametrize("algorithm", [RL2PPO, RL2TRPO])
def test_the_entropys_weight_can_be_a_schedule_and_can_be_changed(
    algorithm: type[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large weight keeps the entropy up: at 0 it falls, at 10 it stays at its maximum."""

    def entropy(weight: Any, changed: Any = None) -> float:
        env = make_trials("bandit", 32, 5, seed=0)
        network = {"hidden_size": 8}
        model: Any = algorithm(
            "GRUPolicy",
            env,
            learning_rate=0.03,
            ent_coef=weight,
            policy_kwargs=network,
            seed=0,
        )
        if changed is not None:
            model.ent_coef = changed
        model.learn(10 * 32 * 5)
        return -float(model.logger.name_to_value["train/entropy_loss"])

    free = entropy(0.0)
    assert entropy(lambda _: 10.0) > free + 1e-3
    assert entropy(0.0, changed=10.0) == entropy(10.0) == entropy(lambda _: 10.0)


@pytest.mark.parametrize("network", ["separate", "sums", "shared"])
@pytest.mark.parametrize("steps", [1, 4, 6])
def test_a_rollout_that_is_broken_off_leaves_a_whole_memory(network: str, steps: int) -> None:
    """A value network of its own goes over a rollout at its end, and when it ends too soon."""
    trials = make_trials("bandit", 3, episodes=10, seed=0)
    model = make_model(trials, n_steps=6, network=NETWORKS[network])
    policy = model.policy
    seen: list[Any] = []

    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            seen.append({key: th.as_tensor(part) for key, part in self.locals["obs"].items()})
            self.saved = model._get_resume_state()["memory"]
            return len(seen) < steps

    stop = Stop()
    model.learn(3 * 6, stop)
    memory = policy.initial_memory(3)
    with th.no_grad():
        for obs in seen:
            memory = policy.act({**obs, "memory": memory}).memory
    th.testing.assert_close(model._memory, memory)
    th.testing.assert_close(th.as_tensor(stop.saved), memory)


def test_sums_with_features_that_are_learned() -> None:
    trials = make_trials(ENVS["image"], 3, episodes=2, seed=0)
    network = {"value_network": "sums", "features_extractor_kwargs": {"features_dim": 8}}
    model = make_model(trials, policy="CnnGRUPolicy", n_steps=30, network=network)
    before = {name: p.clone() for name, p in model.policy.named_parameters()}
    model.learn(1)
    moved = {name for name, p in model.policy.named_parameters() if (p != before[name]).any()}
    assert any(name.startswith("vf_features_extractor") for name in moved)
