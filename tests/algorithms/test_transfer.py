from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch as th
from gymnasium import spaces

from rl2_sb3.agent_file import is_acting
from rl2_sb3.algorithms import RL2PPO
from rl2_sb3.algorithms.transfer import more_actions, take_weights
from rl2_sb3.policies import GRUPolicy
from rl2_sb3.trials import make_trials, trial_space

OLD, NEW = 3, 7


def make_policy(arms: int, observation: int = 2, **network: Any) -> GRUPolicy:
    th.manual_seed(arms)
    actions = spaces.Discrete(arms)
    space = trial_space(spaces.Discrete(observation), actions)
    kwargs = {"features_extractor_kwargs": {"action_reward": True}, "hidden_size": 4, **network}
    return GRUPolicy(space, actions, lambda _: 1e-3, **kwargs)


def obs(steps: int) -> dict[str, th.Tensor]:
    """Steps of two columns, in which old actions alone were taken."""
    rows = 2 * steps
    th.manual_seed(0)
    start = th.zeros(rows, 1)
    start[:2] = 1
    return {
        "observation": th.randint(2, (rows,)),
        "action": th.randint(OLD, (rows,)),
        "reward": th.randn(rows, 1),
        "done": th.randint(2, (rows, 1)),
        "start": start,
    }


@pytest.mark.parametrize("network", [{}, {"layers_before": [5], "layers_after": [6]}])
def test_old_actions_keep_their_logits_and_new_ones_get_the_mean(network: Any) -> None:
    small, large = make_policy(OLD, **network), make_policy(NEW, **network)
    grown = more_actions(small.state_dict(), large, OLD)
    large.load_state_dict({k: v for k, v in grown.items() if "value" not in k}, strict=False)

    def logits(policy: GRUPolicy) -> th.Tensor:
        block = {**obs(steps=4), "memory": policy.initial_memory(2)}
        latent = policy.unroll(block, value=False).policy
        scores: th.Tensor = policy.action_net(latent)
        return scores

    with th.no_grad():
        before, after = logits(small), logits(large)
    th.testing.assert_close(after[:, :OLD], before)
    mean = before.mean(dim=1, keepdim=True).expand(-1, NEW - OLD)
    th.testing.assert_close(after[:, OLD:], mean)


def test_what_predicted_may_go_on_without(tmp_path: Path) -> None:
    """From a run with prediction_coef to one without, whatever else is told."""

    def model(**network: Any) -> RL2PPO:
        trials = make_trials("bandit", 4, episodes=3, privileged=True)
        kwargs = {"hidden_size": 8, "shared": True, **network}
        return RL2PPO("GRUPolicy", trials, policy_kwargs=kwargs)

    first = model(prediction_coef=1.0)
    first.save(tmp_path / "checkpoint.zip")
    (tmp_path / "config.json").write_text("{}")
    then = model()
    take_weights(then, tmp_path)
    ours, theirs = then.policy.state_dict(), first.policy.state_dict()
    assert set(theirs) - set(ours) == {"prediction_net.weight", "prediction_net.bias"}
    assert all(th.equal(ours[key], theirs[key]) for key in ours)


def test_an_agents_file_is_gone_on_from(tmp_path: Path) -> None:
    """With its runs in the history of what goes on, and a value network that begins anew."""

    def model() -> RL2PPO:
        trials = make_trials("bandit", 4, episodes=3, seed=0)
        return RL2PPO("GRUPolicy", trials, seed=1, policy_kwargs={"hidden_size": 8})

    first = model()
    first.history = ({"run": "earlier", "steps": 100, "seconds": 2.0},)
    first.learn(12)
    first.save_agent(tmp_path / "agent.safetensors", teacher="greedy", privileged=True)
    then = model()
    take_weights(then, tmp_path / "agent.safetensors")
    ours, theirs = then.policy.state_dict(), first.policy.state_dict()
    assert all(th.equal(ours[key], theirs[key]) for key in filter(is_acting, ours))
    assert not th.equal(ours["value_net.weight"], theirs["value_net.weight"])
    earlier, told = then.history
    assert (earlier["run"], told["steps"], told["teacher"]) == ("earlier", 12, "greedy")
    assert told["privileged"]
    assert "privileged" not in earlier
    with pytest.raises(ValueError, match="There is no run or agent's file"):
        take_weights(then, tmp_path / "none.safetensors")


def cartpoles(**network: Any) -> RL2PPO:
    trials = make_trials("CartPole-v1", 2, episodes=2)
    return RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 4, **network})


@pytest.mark.parametrize("of_a_run", [False, True])
@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        ({"normalize_observations": False}, {}, "--no-normalize-observations"),
        ({}, {"normalize_observations": False}, "--normalize-observations"),
        ({"hidden_size": 6, "layers_after": (5, 3)}, {}, "--hidden-size 6 --layers-after 5 3"),
        ({"memory": "lstm"}, {}, "--memory lstm"),
        ({}, {"weight_norm": True}, "--no-weight-norm"),
    ],
)
def test_another_network_is_told_by_its_options(
    of_a_run: bool, theirs: Any, ours: Any, told: str, tmp_path: Path
) -> None:
    first = cartpoles(**theirs)
    if of_a_run:
        first.save(tmp_path / "checkpoint.zip")
        options = {"hidden_size": 4, "normalize_observations": None, **theirs}
        options = {"weight_norm": False, "memory": "gru", **options}
        (tmp_path / "config.json").write_text(json.dumps(options))
    else:
        first.save_agent(tmp_path / "agent.safetensors")
    with pytest.raises(ValueError, match=rf"trained with: {told}\.$"):
        take_weights(cartpoles(**ours), tmp_path)


def test_normalised_weights_are_gone_on_from(tmp_path: Path) -> None:
    first, then = cartpoles(weight_norm=True), cartpoles(weight_norm=True)
    first.save_agent(tmp_path / "agent.safetensors")
    take_weights(then, tmp_path)
    ours, theirs = then.policy.state_dict(), first.policy.state_dict()
    assert all(th.equal(ours[key], theirs[key]) for key in filter(is_acting, ours))


@pytest.mark.parametrize("of_a_run", [False, True])
@pytest.mark.parametrize(
    ("task", "options", "network"),
    [
        ("tabular-mdp", {"actions": 5}, {}),
        ("bandit", {"arms": 3}, {}),
        ("CartPole-v1", {}, {"hidden_size": 4}),
    ],
)
def test_other_spaces_are_told(
    of_a_run: bool, task: str, options: Any, network: Any, tmp_path: Path
) -> None:
    first = RL2PPO("GRUPolicy", make_trials("bandit", 4, episodes=3, arms=5))
    info = {"task": "bandit", "options": {"arms": 5}}
    if of_a_run:
        first.save(tmp_path / "checkpoint.zip")
        (tmp_path / "config.json").write_text(json.dumps({**info, "hidden_size": 64}))
    else:
        first.save_agent(tmp_path / "agent.safetensors", **info)
    then = RL2PPO("GRUPolicy", make_trials(task, 4, episodes=3, **options), policy_kwargs=network)
    told = r"trained on bandit arms=5, with other observations or actions\. [^()]* discrete ones\.$"
    with pytest.raises(ValueError, match=told):
        take_weights(then, tmp_path)


def test_a_longer_window_goes_on_from_a_shorter_one_with_its_value_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def model(window: int) -> RL2PPO:
        return cartpoles(memory="window", memory_kwargs={"window": window, "heads": 2})

    first, then = model(4), model(6)
    first.save(tmp_path / "checkpoint.zip")
    (tmp_path / "config.json").write_text("{}")
    take_weights(then, tmp_path)
    told = capsys.readouterr().err
    assert told.count("the window grows from 4 steps to 6, beyond that of") == 1
    ours, theirs = then.policy.state_dict(), first.policy.state_dict()
    grown = {key for key in ours if ours[key].shape != theirs[key].shape}
    assert len(grown) == 4  # the ages' biases of two layers, of policy and value
    assert all(th.equal(ours[key], theirs[key]) for key in ours.keys() - grown)
    with pytest.raises(ValueError, match=r"has another network.*\[2, 5\]"):
        take_weights(model(2), tmp_path)


def test_what_cannot_grow() -> None:
    small = make_policy(OLD)
    with pytest.raises(ValueError, match="cannot become one for Discrete"):
        more_actions(small.state_dict(), make_policy(2), OLD)
    with pytest.raises(ValueError, match="weight_norm"):
        more_actions(small.state_dict(), make_policy(NEW, weight_norm=True), OLD)
    skipping = make_policy(NEW, layers_after=[3], skip=True)
    with pytest.raises(ValueError, match="skip and state_action, are what it can"):
        more_actions(small.state_dict(), skipping, OLD)
    pairs = make_policy(NEW, state_action=True)
    with pytest.raises(ValueError, match="skip and state_action, are what it can"):
        more_actions(small.state_dict(), pairs, OLD)
    with pytest.raises(ValueError, match="differ in more"):
        more_actions(small.state_dict(), make_policy(NEW, observation=3), OLD)
