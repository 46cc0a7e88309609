"""The network for views of a few cells: what it sees, and its way through files and commands."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

pytest.importorskip("rl2_minigrid")

from rl2_minigrid.networks import MiniGridPolicy, ViewFeatures
from rl2_minigrid.tasks import MiniGrid
from stable_baselines3.common.preprocessing import preprocess_obs

from rl2_sb3 import RL2PPO, load_agent, make_trials
from rl2_sb3.cli import main


def features(net: ViewFeatures, observation: dict[str, Any]) -> Any:
    """Of one observation of a trial."""
    tensors: Any = {key: th.as_tensor(value)[None] for key, value in observation.items()}
    space: Any = net._observation_space
    return net(preprocess_obs(tensors, space))


@pytest.mark.parametrize("view", [3, 5, 7, 9])
def test_every_number_of_every_cell_counts(view: int) -> None:
    th.manual_seed(0)
    space: Any = make_trials("minigrid", 1, episodes=2, view=view).observation_space
    net = ViewFeatures(space, features_dim=256)
    sample = {key: part.sample() for key, part in space.items()}
    sample["observation_view"] = np.zeros((view, view, 3), np.uint8)
    sample["reward"][:] = 0
    before = features(net, sample)
    assert before.shape == (1, 256)
    for cell in ((0, 0, 0), (view - 1, 0, 1), (view // 2, view - 1, 2)):
        sample["observation_view"][cell] = 1
        after = features(net, sample)
        assert not th.equal(before, after), cell
        before = after
    sample["start"] = 1 - sample["start"]
    assert th.equal(before, features(net, sample))


def test_the_policy_does_not_see_what_privileged_trials_tell() -> None:
    space: Any = make_trials("minigrid", 1, episodes=2, view=3, privileged=True).observation_space
    sample = {key: part.sample() for key, part in space.items()}
    for told in (False, True):
        net = ViewFeatures(space, privileged=told)
        before = features(net, sample)
        other = {**sample, "privileged": sample["privileged"] + 1}
        assert th.equal(before, features(net, other)) == (not told)


def test_other_observations_are_refused() -> None:
    trials = make_trials("bandit", 2, episodes=2)
    with pytest.raises(ValueError, match="Use GRUPolicy instead"):
        RL2PPO(MiniGridPolicy, trials, device="cpu")


def test_the_command_line_takes_the_policy_by_name(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    words = "train minigrid --policy rl2_minigrid.networks:MiniGridPolicy --view 3 --horizon 5"
    sizes = "--episodes 2 --steps 20 --n-envs 2 --n-steps 10 --hidden-size 8 --no-progress"
    main([*words.split(), *sizes.split(), "--out", out])
    agent = load_agent(out)
    observation, _ = MiniGrid(view=3).make_env().reset(options={"task": 0})
    agent.reset()
    assert agent.act(observation) in (0, 1, 2)
