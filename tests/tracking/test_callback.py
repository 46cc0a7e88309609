"""The callback, from Python."""

from __future__ import annotations

import numpy as np
import pytest
import wandb
from stable_baselines3.common.logger import configure

from rl2_sb3 import RL2PPO, TrackingCallback, make_trials
from tests.tracking.reading import tracked


def learn(model: RL2PPO, callback: TrackingCallback) -> RL2PPO:
    return model.learn(160, callback=callback, reset_num_timesteps=False)


@pytest.fixture
def model() -> RL2PPO:
    trials = make_trials("bandit", 16, episodes=5, arms=3)
    return RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 8}, gamma=0.9, seed=0)


@pytest.mark.usefixtures("offline")
def test_a_run_of_its_own(model: RL2PPO) -> None:
    for _ in range(2):  # each call of learn is a run of its own, from the second on too
        learn(model, TrackingCallback({"task": "bandit"}))
        assert wandb.run is None
    first, second = tracked()
    assert (list(first.history), list(second.history)) == ([80, 160], [240, 320])
    assert (first.config["task"], first.config["gamma"]) == ("bandit", 0.9)
    assert (first.config["hidden_size"], first.config["n_envs"]) == (8, 16)
    assert first.picture("adaptation", 160).startswith(b"\x89PNG")
    assert "trial/return" in second.summary
    (artifact,) = second.artifacts
    assert '"task":"bandit"' in artifact["metadata"].replace(" ", "")


@pytest.mark.usefixtures("offline")
def test_into_the_run_that_is_active(model: RL2PPO) -> None:
    with wandb.init(config={"gamma": "mine"}) as run:
        learn(model, TrackingCallback(minutes_between_pictures=0))
        assert wandb.run is run
        run.log({"after": 1})
    (there,) = tracked()
    assert there.config["gamma"] == "mine"
    assert there.config["hidden_size"] == 8
    assert there.summary["after"] == 1
    assert all("adaptation.path" in there.history[step] for step in (80, 160))


@pytest.mark.usefixtures("offline")
def test_a_network_that_diverged_ends_as_it_does_untracked(model: RL2PPO) -> None:
    callback = TrackingCallback()
    callback.init_callback(model)
    model.set_logger(configure(None, []))
    callback.on_training_start({}, {})
    next(model.policy.parameters()).data.fill_(np.nan)
    callback.on_training_end()  # no file of it can be made, which is W&B's loss alone
    assert wandb.run is None
    assert tracked()[0].artifacts == []
