from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from torch import nn

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.memories import GRU, products
from rl2_sb3.policies import CnnGRUPolicy, GRUPolicy, blocks
from rl2_sb3.policies.features import LAST
from rl2_sb3.policies.networks import Core
from rl2_sb3.trials import trial_space
from tests.memories.counting import count_steps

SIZE = 6
ARMS = spaces.Discrete(3)
FORCES = spaces.Box(-0.1, 0.1, (2,), np.float32)
PLACE = spaces.Box(-1, 1, (2,), np.float32)
IMAGE = spaces.Box(0, 255, (3, 13, 15), np.uint8)
ACTIONS = {
    "discrete": ARMS,
    "box": FORCES,
    "multi-discrete": spaces.MultiDiscrete([2, 3]),
    "multi-binary": spaces.MultiBinary(3),
}
NETWORKS: dict[str, dict[str, Any]] = {
    "separate": {},
    "shared": {"shared": True},
    "layers": {"layers_before": [5], "layers_after": [7, 4]},
    "skip": {"layers_before": [5], "layers_after": [7], "skip": True},
    "weight-norm": {"weight_norm": True, "layers_before": [5]},
    "episode-units": {"episode_units": 2, "shared": True},
    "sums": {"value_network": "sums", "episode_units": SIZE},
    "lstm": {"memory": "lstm", "layers_after": [7]},
    "lstm-shared": {"memory": "lstm", "shared": True, "weight_norm": True},
    "lstm-sums": {"memory": "lstm", "value_network": "sums"},
    "gru-lstm": {"value_network": "lstm", "episode_units": 2},
    "linear": {"memory": "linear", "layers_before": [5], "weight_norm": True},
    "window": {"memory": "window", "memory_kwargs": {"heads": 1, "window": 3}},
    "window-shared": {"memory": "window", "memory_kwargs": {"heads": 1}, "shared": True},
    "fast-weights": {"memory": "fast-weights", "memory_kwargs": {"heads": 1, "rows": 3}},
    "fast-weights-shared": {
        **{"memory": "fast-weights", "shared": True},
        "memory_kwargs": {"heads": 1, "rows": 3},
    },
    "sums-alone": {"memory": "sums", "layers_before": [5], "layers_after": [7], "skip": True},
}
PRODUCTS: dict[str, Any] = {"state_action": True}


def make_policy(
    observation: spaces.Space[Any] = PLACE,
    action: spaces.Space[Any] = ARMS,
    kind: type[GRUPolicy] = GRUPolicy,
    **network: Any,
) -> GRUPolicy:
    th.manual_seed(0)
    space = trial_space(observation, action)
    options = {"hidden_size": SIZE, "action_reward": False, **network}
    return kind(space, action, lambda _: 1e-3, **options)


def observations(policy: GRUPolicy, rows: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Random observations without a trial's start, axis 0 the row."""
    space = policy.observation_space
    assert isinstance(space, spaces.Dict)
    space.seed(seed)
    samples = [space.sample() for _ in range(rows)]
    obs = {key: np.stack([sample[key] for sample in samples]) for key in space}
    obs["reward"] = np.random.default_rng(seed).normal(size=(rows, 1)).astype(np.float32)
    obs["start"][:] = 0
    return obs


def block(policy: GRUPolicy, steps: int, columns: int, seed: int = 0) -> dict[str, th.Tensor]:
    obs = {k: th.as_tensor(v) for k, v in observations(policy, steps * columns, seed).items()}
    generator = th.Generator().manual_seed(seed)
    obs["memory"] = th.randn(columns, policy.memory_size, generator=generator)
    return obs


def outputs(policy: GRUPolicy, obs: dict[str, th.Tensor]) -> tuple[th.Tensor, th.Tensor]:
    """Log-probabilities of fixed actions, and values."""
    distribution = policy.get_distribution(obs)
    actions = th.zeros(len(obs["start"]), *(policy.action_space.shape or ()))
    return distribution.log_prob(actions), policy.predict_values(obs)


@pytest.mark.usefixtures("recurrence")
@pytest.mark.parametrize("network", [*NETWORKS, "state-action"])
def test_a_block_equals_its_steps(network: str) -> None:
    steps, columns = 7, 3
    if network == "state-action":
        policy = make_policy(spaces.Discrete(4), value_network="sums", **PRODUCTS)
    else:
        policy = make_policy(**NETWORKS[network])
    obs = block(policy, steps, columns)
    obs["start"][4 * columns + 1] = 1  # column 1 begins a trial at step 4
    obs["start"][0 * columns + 2] = 1  # and column 2 at the first one

    memory, actions, log_probs, values = obs["memory"], [], [], []
    with th.no_grad():
        for t in range(steps):
            rows = {key: value[t * columns : (t + 1) * columns] for key, value in obs.items()}
            acted = policy.act({**rows, "memory": memory})
            assert acted.values is not None
            memory = acted.memory
            actions.append(acted.actions)
            log_probs.append(acted.log_probs)
            values.append(acted.values)
        replayed_values, replayed, _ = policy.evaluate_actions(obs, th.cat(actions))
        th.testing.assert_close(replayed, th.cat(log_probs))
        th.testing.assert_close(replayed_values, th.cat(values))
        th.testing.assert_close(policy.predict_values(obs), th.cat(values))
        th.testing.assert_close(
            policy.get_distribution(obs).log_prob(th.cat(actions)), th.cat(log_probs)
        )


def test_the_last_observation_is_kept_until_the_trial_ends() -> None:
    policy = make_policy(spaces.Discrete(4), **PRODUCTS)
    obs = block(policy, steps=5, columns=2)
    obs["memory"][:] = 0
    obs["memory"][0, -1] = 1  # column 0 goes on from state 3
    obs["observation"] = th.tensor([[0, 1], [2, 2], [1, 0], [3, 3], [2, 1]]).flatten()
    obs["start"].view(5, 2)[[0, 3], [1, 0]] = 1  # column 1 begins a trial, column 0 a later one
    obs["done"][:] = 1  # an episode's end alone forgets nothing
    seen: list[th.Tensor] = []
    policy.pi_features_extractor.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0][LAST])
    )

    _, _, memory = policy.unroll(obs)

    one_hot = th.cat([th.eye(4), th.zeros(1, 4)])  # the last is none
    expected = [[3, -1], [0, 1], [2, 2], [-1, 0], [3, 3]]
    assert (seen[0].view(5, 2, 4) == one_hot[th.tensor(expected)]).all()
    assert (memory[:, -4:] == one_hot[[2, 1]]).all()


@pytest.mark.usefixtures("recurrence")
def test_memory_dies_at_a_trials_start_and_nowhere_else() -> None:
    policy = make_policy(episode_units=2)
    count_steps(policy)
    obs = block(policy, steps=6, columns=1)
    obs["memory"][:] = 10
    obs["done"][:, 0] = th.tensor([0, 0, 1, 0, 0, 0])
    obs["start"][:, 0] = th.tensor([0, 0, 0, 0, 1, 0])

    states, value_states, memory = policy.unroll(obs)

    assert states is not None
    assert value_states is not None
    trial, episode = [11, 12, 13, 14, 1, 2], [11, 12, 1, 2, 1, 2]
    expected = th.tensor([[t] * (SIZE - 2) + [e] * 2 for t, e in zip(trial, episode, strict=True)])
    assert (states == expected).all()
    assert (value_states == expected).all()
    assert (memory == 2).all()


@pytest.mark.usefixtures("recurrence")
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_actor_parameters_are_those_that_actions_depend_on(network: str, action: str) -> None:
    policy = make_policy(action=ACTIONS[action], **NETWORKS[network])
    check_actor_parameters(policy)


@pytest.mark.parametrize("shared", [False, True])
def test_actor_parameters_with_images(shared: bool) -> None:
    check_actor_parameters(make_policy(IMAGE, kind=CnnGRUPolicy, shared=shared))


def check_actor_parameters(policy: GRUPolicy) -> None:
    log_prob, values = outputs(policy, block(policy, 4, 3))
    named = dict(policy.named_parameters())

    def names(output: th.Tensor) -> set[str]:
        slopes = th.autograd.grad(output.sum(), list(named.values()), allow_unused=True)
        return {name for name, slope in zip(named, slopes, strict=True) if slope is not None}

    ours = {id(parameter) for parameter in policy.actor_parameters()}
    actor = {name for name, parameter in named.items() if id(parameter) in ours}
    assert actor == names(log_prob)
    assert len(ours) == len(actor)
    rest = set(named) - actor
    if policy.config.shared:
        assert {name.partition(".")[0] for name in rest} == {"value_net"}
    else:
        assert rest == names(values)


@pytest.mark.parametrize("kind", [GRUPolicy, CnnGRUPolicy])
def test_weight_norm_begins_as_the_same_function(kind: type[GRUPolicy]) -> None:
    options: dict[str, Any] = {"layers_before": [5], "layers_after": [4]}
    plain = make_policy(IMAGE, kind=kind, **options)
    normed = make_policy(IMAGE, kind=kind, weight_norm=True, **options)
    obs = block(plain, 4, 3)

    th.testing.assert_close(outputs(normed, obs), outputs(plain, obs))
    # Every weight is a length and a direction, and the optimiser has them.
    weights = {name for name, parameter in normed.named_parameters() if parameter.dim() > 1}
    assert {name.rpartition(".")[2] for name in weights} == {"original0", "original1"}
    groups = normed.optimizer.param_groups
    assert {id(p) for p in groups[0]["params"]} == {id(p) for p in normed.parameters()}


def test_layers_after_the_memory_see_the_features_with_skip() -> None:
    features, h = th.randn(6, 3), th.zeros(2, 5)
    plain, skipping, bare = (
        Core(nn.Sequential(), GRU(3, 5), 3, after, nn.Tanh, "fp32", skip)
        for after, skip in (([4, 2], False), ([4, 2], True), ([], True))
    )
    for core, seen in ((plain, 5), (skipping, 5 + 3), (bare, 5 + 3)):
        states = core.memory(features.view(3, 2, 3), h)[0].flatten(0, 1)
        expected = core.after(th.cat([states, features], dim=1)[:, :seen])
        th.testing.assert_close(core(features, h, None)[0], expected)
        assert expected.shape[1] == core.outputs
    assert bare.outputs == 8


def test_weights_are_xavier_and_biases_zero() -> None:
    policy = make_policy(layers_before=[40], hidden_size=64)

    linear = [module for module in policy.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == 4  # a layer for each network, and the two heads
    for module in linear:
        bound = (6 / (module.in_features + module.out_features)) ** 0.5
        assert 0.8 * bound < module.weight.abs().max() <= bound
        assert (module.bias == 0).all()


@pytest.mark.parametrize("weight_norm", [False, True])
def test_normalising_returns_leaves_values_as_they_are(weight_norm: bool) -> None:
    policy = make_policy(weight_norm=weight_norm)
    obs = block(policy, 4, 3)

    def values() -> th.Tensor:
        return policy.value_in_rewards(policy.predict_values(obs).detach())

    assert (values() == 0).all()  # no return has been seen
    policy.normalise_values(np.array([[1.0, 3.0], [5.0, 7.0]], np.float32))
    assert float(policy.value_shift) == pytest.approx(4)
    assert float(policy.value_scale) == pytest.approx(5**0.5)
    before = values()
    assert before.std() > 0.1

    policy.normalise_values(np.array([14.0, 14.0], np.float32))

    assert float(policy.value_shift) == pytest.approx(5)
    assert float(policy.value_scale) == pytest.approx(0.9 * 5**0.5 + 0.1 * 14e-6)
    th.testing.assert_close(values(), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size=0"),
        ({"hidden_size": 4, "episode_units": 5}, "episode_units=5"),
        ({"episode_units": -1}, "episode_units=-1"),
        ({"memory_steps": 1}, "memory_steps=1: 0 for none"),
        ({"candidate": "sigmoid"}, "candidate='sigmoid': use 'tanh' or 'relu'"),
        ({"precision": "fp16"}, "precision='fp16': use 'fp32' or 'bf16'"),
        ({"use_sde": True}, "use_sde=True"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_policy(**options)


def test_observations_without_trials_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Wrap the environment in rl2_sb3\.TrialWrapper"):
        GRUPolicy(PLACE, ARMS, lambda _: 1e-3)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (PLACE, "Use GRUPolicy"),
        (spaces.Box(0, 255, (3, 12, 40), np.uint8), "observation is 12x40.*at least 13x13"),
    ],
)
def test_cnn_policy_refuses_what_it_cannot_see(
    observation: spaces.Space[Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_policy(observation, kind=CnnGRUPolicy)


@pytest.mark.parametrize("kind", [GRUPolicy, CnnGRUPolicy])
def test_a_policy_alone_is_saved_and_loaded(kind: type[GRUPolicy], tmp_path: Path) -> None:
    policy = make_policy(IMAGE, FORCES, kind, shared=True, weight_norm=True, candidate="relu")
    policy.normalise_values(np.array([1.0, 3.0]))
    policy.save(str(tmp_path / "policy"))

    loaded = kind.load(str(tmp_path / "policy"))

    obs = block(policy, 3, 2)
    th.testing.assert_close(outputs(loaded, obs), outputs(policy, obs), rtol=0, atol=0)
    assert float(loaded.value_shift) == 2


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_dense_layers_and_convolutions_multiply_in_bf16_where_the_device_can(
    native: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "has_bf16", lambda device: native)
    image = trial_space(spaces.Box(0, 255, (3, 24, 20), np.uint8), spaces.Discrete(3))
    network: Any = {"hidden_size": 8, "layers_after": [6], "precision": precision}
    policy = CnnGRUPolicy(image, spaces.Discrete(3), lambda _: 1e-3, **network)
    types: list[th.dtype] = []
    for layer in policy.modules():
        own = isinstance(layer, nn.Conv2d | nn.Linear)
        if own and layer not in (policy.action_net, policy.value_net):
            layer.register_forward_hook(lambda _, __, output: types.append(output.dtype))
    obs: Any = {key: th.as_tensor(part[None]) for key, part in image.sample().items()}
    obs["action"] = obs["action"].reshape(1)
    acted = policy.act({**obs, "memory": policy.initial_memory(1)})
    assert set(types) == {th.bfloat16 if native and precision == "bf16" else th.float32}
    assert acted.values is not None
    assert acted.values.dtype == acted.memory.dtype == th.float32


@pytest.mark.parametrize("memory", ["gru", "window", "fast-weights"])
def test_a_step_in_groups_is_the_same(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = make_trials("bandit", 7, episodes=3, seed=0)
    policy = RL2PPO("GRUPolicy", trials, seed=0, policy_kwargs={"memory": memory}).policy
    trials.reset()
    seen: Any = trials.step(np.arange(7) % 5)[0]
    obs: Any = policy.obs_to_tensor(seen)[0]
    obs["memory"] = policy.initial_memory(7).normal_().abs()
    found = []
    for size in (2**40, 0):
        monkeypatch.setattr(blocks, "WHOLE", size)
        monkeypatch.setattr(blocks, "GROUP", 3 * policy.initial_memory(1).nbytes)
        found.append(policy.step(obs))
    for whole, groups in zip(*found, strict=True):
        if whole is not None:
            assert (whole[0] != whole[1]).any()
            th.testing.assert_close(groups, whole)
