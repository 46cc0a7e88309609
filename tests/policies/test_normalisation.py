"""Observations of any scale: the policy normalises them, and keeps by what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray

from rl2_sb3 import RL2PPO, RL2TRPO, evaluate_trials, load_agent, make_trials
from rl2_sb3.policies.normalisation import (
    CLIP,
    Moments,
    ObservationStatistics,
    continuous,
    unbounded,
)
from rl2_sb3.trials.spaces import trial_space
from tests.algorithms.collecting import Model, ReplayErrors
from tests.envs import SmallEnv, image_env

ALL = spaces.Dict(
    {
        "place": spaces.Box(-np.inf, np.inf, (2,), np.float32),
        "angle": spaces.Box(-1, 1, (1,), np.float64),
        "huge": spaces.Box(np.finfo(np.float32).min, np.finfo(np.float32).max, (1,)),
        "room": spaces.Discrete(3),
        "image": spaces.Box(0, 255, (24, 20, 3), np.uint8),
    }
)


class FarEnv(SmallEnv):
    """Observations around a million, of which the second is always the same."""

    def __init__(self) -> None:
        box = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        super().__init__(box, spaces.Discrete(2), length=4)

    def reset(self, **options: Any) -> Any:
        _, info = super().reset(**options)
        return self._observation(), info

    def step(self, action: Any) -> Any:
        return self._observation(), *super().step(action)[1:]

    def _observation(self) -> NDArray[np.float32]:
        return np.array([1e6 + 1000 * self.np_random.normal(), 7], np.float32)


def make_model(
    kind: type[Model] = RL2PPO, env: Any = FarEnv, wanted: bool | None = None, **options: Any
) -> Model:
    network = {"normalize_observations": wanted, "hidden_size": 8}
    trials = make_trials(env, 4, episodes=2)
    return kind("GRUPolicy", trials, n_steps=20, seed=0, device="cpu", policy_kwargs=network)


def statistics(model: Model) -> ObservationStatistics:
    assert model.policy.statistics is not None
    return model.policy.statistics


def test_which_parts_are_normalised() -> None:
    space = trial_space(ALL, spaces.Discrete(2), privileged=3)
    assert continuous(space) == ["observation_angle", "observation_huge", "observation_place"]
    assert unbounded(space) == ["observation_huge", "observation_place"]
    assert unbounded(trial_space(spaces.Box(-5, 5, (2,)), spaces.Discrete(2))) == []


def test_moments_are_those_of_all_values_together() -> None:
    first, then = np.array([[1.0], [3.0]], np.float32), np.array([[8.0]], np.float32)
    moments = Moments(0, np.zeros(1), np.zeros(1)).with_rows(first)
    assert (moments.seen, *moments.mean, *moments.deviation) == (2, 2.0, 1.0)
    seen, mean, deviation = moments.with_rows(then)
    assert (seen, *mean) == (3, 4.0)
    np.testing.assert_allclose(deviation, np.sqrt((9 + 1 + 16) / 3))


def test_moments_about_zero() -> None:
    first, then = np.array([[1.0], [3.0]]), np.array([[8.0]])
    moments = Moments(0, np.zeros(1), np.zeros(1)).with_rows(first, centred=False)
    seen, mean, root_mean_square = moments.with_rows(then, centred=False)
    assert (seen, *mean) == (3, 0.0)
    np.testing.assert_allclose(root_mean_square, np.sqrt((1 + 9 + 64) / 3))


def test_normalised_by_what_was_seen() -> None:
    space = trial_space(ALL, spaces.Discrete(2))
    normaliser = ObservationStatistics(space)
    parts = {key: th.rand(5, *(part.shape or ())) for key, part in space.items()}
    parts["observation_place"] = th.tensor([[1.0, 5.0], [3.0, 5.0]]).repeat(3, 1)[:5]
    before = normaliser(parts)
    assert all(th.equal(before[key], part) for key, part in parts.items())  # nothing was seen yet

    rows = {key: parts[key].numpy() for key in normaliser.keys}
    rows["observation_place"] = np.array([[[1.0, 5.0]], [[3.0, 5.0]]], np.float32)
    rows["reward"], parts["reward"] = np.array([[[30.0]], [[40.0]]]), th.tensor([[0.0], [-50.0]])
    normaliser.follow(rows)
    after = normaliser(parts)
    th.testing.assert_close(after["observation_place"][:2], th.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    th.testing.assert_close(after["reward"], th.tensor([[0.0], [-50 / 1250**0.5]]))
    for key in ("observation_room", "observation_image", "action", "done", "start"):
        assert after[key] is parts[key]
    parts["observation_place"] = th.tensor([[1e30, -1e30]])
    assert normaliser(parts)["observation_place"].tolist() == [[CLIP, -CLIP]]


@pytest.mark.parametrize("kind", [RL2PPO, RL2TRPO])
def test_what_learning_sees_is_what_acting_did(kind: type[Model]) -> None:
    model, errors = make_model(kind), ReplayErrors()
    steps: list[NDArray[Any]] = []

    def follow(local: dict[str, Any], _: Any) -> bool:
        steps.append(np.array(local["obs"]["observation"]))
        return True

    model.learn(3 * 80, callback=[errors])
    assert len(errors.errors) == 3
    assert max(errors.errors) < 1e-5
    model.learn(80, callback=follow, reset_num_timesteps=False)
    assert int(statistics(model).count) == 4 * 80
    mean = model.get_parameters()["policy"]["statistics.observation_mean"]
    np.testing.assert_allclose(mean, [1e6, 7], rtol=1e-3)
    seen = model.policy.statistics(
        {"observation": th.as_tensor(np.concatenate(steps)), "reward": th.zeros(1, 1)}
    )["observation"]  # type: ignore[misc]
    assert seen[:, 0].std().item() == pytest.approx(1, abs=0.2)
    assert th.equal(seen[:, 1], th.zeros(len(seen)))


def test_statistics_change_between_rollouts_alone() -> None:
    model, counts = make_model(), []

    def count(*_: Any) -> bool:
        counts.append(int(statistics(model).count))
        return True

    model.learn(160, callback=count)
    assert counts == [0] * 20 + [80] * 20
    before = {key: part.clone() for key, part in statistics(model).state_dict().items()}
    evaluate_trials(model, FarEnv, 10, episodes=2)
    assert all(th.equal(before[key], part) for key, part in statistics(model).state_dict().items())


def test_on_where_there_are_no_bounds_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert make_model().policy_kwargs["normalize_observations"] is True
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Note")]
    assert "--no-normalize-observations" in line
    for env, wanted in ((FarEnv, True), (FarEnv, False), (image_env, None), (bounded, None)):
        model = make_model(env=env, wanted=wanted)
        assert model.policy_kwargs["normalize_observations"] is bool(wanted)
        assert (model.policy.statistics is not None) is bool(wanted)
    assert "Note" not in capsys.readouterr().err
    assert make_model(env=bounded, wanted=True).policy.statistics is not None
    with pytest.raises(ValueError, match="normalize_observations=True is for Boxes"):
        make_model(env=image_env, wanted=True)


def bounded() -> gym.Env[Any, Any]:
    return SmallEnv(spaces.Box(-5, 5, (2,)), spaces.Discrete(2))


def test_a_resumed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = make_model()
    whole.learn(160)
    whole.save(tmp_path / "half")
    whole.learn(160, reset_num_timesteps=False)
    resumed = RL2PPO.load(
        tmp_path / "half", make_trials(FarEnv, 4, episodes=2), device="cpu", force_reset=False
    )
    assert int(statistics(resumed).count) == 160
    resumed.learn(160, reset_num_timesteps=False)
    ours, theirs = resumed.policy.state_dict(), whole.policy.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(th.equal(ours[key], theirs[key]) for key in ours)


def test_an_agent_sees_what_the_policy_saw(tmp_path: Path) -> None:
    model = make_model()
    model.learn(160)
    model.save_agent(tmp_path / "agent.safetensors")
    agent = load_agent(tmp_path / "agent.safetensors")
    assert agent.policy.config.normalize_observations
    played, theirs = (
        evaluate_trials(who, FarEnv, 8, episodes=2, deterministic=True).returns
        for who in (agent, model)
    )
    np.testing.assert_array_equal(played, theirs)
    obs: Any = make_trials(FarEnv, 4, episodes=2, seed=1).reset()
    tensors: Any = {key: th.as_tensor(part) for key, part in obs.items()}
    tensors["memory"] = agent.policy.initial_memory(4)
    logits = agent.policy.get_distribution(tensors).distribution.logits  # type: ignore[union-attr]
    tensors["memory"] = model.policy.initial_memory(4)
    trained = model.policy.get_distribution(tensors).distribution.logits  # type: ignore[union-attr]
    th.testing.assert_close(logits, trained)
    assert (logits[0] - logits[1]).abs().max() > 1e-6  # and is not blinded by their size


def test_what_was_made_before_the_option_plays_as_it_did(tmp_path: Path) -> None:
    model = make_model(wanted=False)
    model.learn(80)
    del model.policy_kwargs["normalize_observations"]
    model.save(tmp_path / "earlier")
    loaded = RL2PPO.load(tmp_path / "earlier", make_trials(FarEnv, 4, episodes=2))
    assert loaded.policy.statistics is None
    assert loaded.policy.state_dict().keys() == model.policy.state_dict().keys()
