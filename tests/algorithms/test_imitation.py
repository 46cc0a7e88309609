import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.logger import Logger

from rl2_sb3 import RL2PPO, BernoulliBandit, evaluate_trials, load_agent, make_trials
from rl2_sb3.agent_file import is_acting
from rl2_sb3.algorithms.demonstrations import Demonstrations, Played
from rl2_sb3.algorithms.imitation import Imitation, first_returns, returns_to_go
from rl2_sb3.baselines import Greedy
from rl2_sb3.cli import main
from rl2_sb3.config import ImitationConfig
from rl2_sb3.plots.logs import KL, read_progress
from rl2_sb3.signals import learned_from
from tests.algorithms.teachers import Left, Told
from tests.envs import RaggedTasks


def test_returns_to_go_by_hand() -> None:
    rewards = np.array([[1.0, 0.0], [0.0, 2.0], [4.0, 0.0]])
    ended = np.array([[False, False], [False, True], [True, False]])
    values = np.full((3, 2), 8.0)
    expected = np.array([[1 + 0.25 * 4, 0.5 * 2], [0.5 * 4, 2.0], [4.0, 8.0]])
    nothing = np.zeros_like(ended)
    np.testing.assert_allclose(returns_to_go(rewards, ended, nothing, values, 0.5), expected)
    cut = np.array([[False, False], [False, True], [False, False]])
    expected[:2, 1] = 0.5 * 8, 8
    np.testing.assert_allclose(returns_to_go(rewards, ended, cut, values, 0.5), expected)


def test_first_returns_by_hand() -> None:
    """Columns: a whole trial and the next one's begin, none that ends, one that is cut."""
    rewards = np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [4.0, 4.0, 4.0]])
    ended = np.array([[False, False, False], [True, False, True], [False, False, True]])
    cut = np.array([[False, False, False], [False, False, True], [False, False, False]])
    none = np.zeros(3, bool)
    played = Played({}, rewards, rewards, rewards, ended, cut, none)
    np.testing.assert_array_equal(first_returns(played), [3, np.nan, np.nan])


def test_a_policy_learns_in_trials_that_differ_in_length() -> None:
    """Also where few trials end in a round; RL goes on from new trials."""
    trials = make_trials(RaggedTasks(), 32, 3, seed=0)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 8}, seed=0)
    kept = _Kept()
    model.set_logger(kept)
    config = ImitationConfig(batches=100, trials_per_batch=32, learning_rate=3e-2, n_steps=16)
    Imitation(model, Left(), config).learn()
    assert kept.last["imitation/kl"] < 0.02
    assert np.isfinite(kept.last["imitation/value_loss"])
    assert model.num_timesteps == 100 * 32 * 16
    config = ImitationConfig(batches=104, trials_per_batch=32, n_steps=2)
    Imitation(model, Left(), config).learn()
    assert model._last_obs is None
    assert all(np.isfinite(each).all() for each in map(np.asarray, kept.last.values()))


def test_a_teacher_that_is_told_what_the_student_is_not() -> None:
    """A pull of a bandit: its student cannot know which arm is best, and learns that."""
    trials = make_trials("bandit", 64, 1, seed=0, arms=2, privileged=True)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 8}, seed=0)
    model.set_logger(kept := _Kept())
    Imitation(model, Told(), ImitationConfig(batches=200, trials_per_batch=64)).learn()
    assert kept.last["imitation/kl"] == pytest.approx(np.log(2), abs=0.02)
    assert kept.last["imitation/teacher_return"] == pytest.approx(2 / 3, abs=0.05)


def test_costs_weigh_against_the_cross_entropy() -> None:
    """A teacher that pulls arm 1, although arm 2 costs less: p of arm 1 minimises a known loss.

    It is -(1 - w) log p + w p / 2, so p = 2 (1 - w) / w.
    """

    class Torn:
        def action_probabilities(
            self, obs: Any, state: Any = None, episode_start: Any = None
        ) -> tuple[Any, Any]:
            return np.tile([0.0, 1.0, 0.0], (len(obs["start"]), 1)), obs

        def action_costs(self, state: Any) -> Any:
            return np.tile([1.0, 0.5, 0.0], (len(state["start"]), 1))

    trials = make_trials("bandit", 16, 3, seed=0, arms=3)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 8}, seed=0)
    costs = _Kept()
    model.set_logger(costs)
    config = ImitationConfig(batches=300, trials_per_batch=16, learning_rate=3e-2, cost_weight=0.75)
    Imitation(model, Torn(), config).learn()
    seen: Any = trials.reset()
    obs: Any = {key: th.as_tensor(value) for key, value in seen.items()}
    obs["memory"] = model.policy.initial_memory(16)
    probs: Any = model.policy.get_distribution(obs).distribution
    np.testing.assert_allclose(probs.probs.detach()[0], [0, 2 / 3, 1 / 3], atol=0.02)
    assert costs.last["imitation/cost"] == pytest.approx(3 * 2 / 3 * 0.5, abs=0.03)  # of a trial


def test_a_policy_learns_its_teacher() -> None:
    bandit = BernoulliBandit(arms=2)
    trials = make_trials(bandit, 128, 5, seed=0)
    network = {"hidden_size": 16}
    model = RL2PPO("GRUPolicy", trials, gamma=1.0, policy_kwargs=network, seed=0)
    model.set_logger(_silent())
    Imitation(model, Greedy(arms=2), ImitationConfig(batches=250, learning_rate=1e-2)).learn()
    greedy = evaluate_trials(Greedy(arms=2), bandit, 4000, episodes=5)
    student = evaluate_trials(model, bandit, 4000, episodes=5)
    assert abs(student.mean - greedy.mean) < 0.07  # random has 2.5, greedy 2.9
    obs: Any = make_trials(bandit, 2000, 5, seed=1).reset()
    tensors = {key: th.as_tensor(value) for key, value in obs.items()}
    tensors["memory"] = model.policy.initial_memory(2000)
    with th.no_grad():
        value = model.policy.value_in_rewards(model.policy.predict_values(tensors)).mean()
    assert abs(float(value) - greedy.mean) < 0.15


class _Kept(Logger):
    """Remembers what it was last told to write."""

    def __init__(self) -> None:
        super().__init__(None, [])
        self.last: dict[str, Any] = {}

    def dump(self, step: int = 0) -> None:
        self.last = dict(self.name_to_value)
        super().dump(step)


def _silent() -> Any:
    return Logger(None, [])


def test_imitate_then_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["bandit", "--arms", "2", "--episodes", "5", "--hidden-size", "8", "--no-progress"]
    teach = [*common, "--teacher", "ucb1(c=0.1)", "--trials-per-batch", "16", "--out", "runs/im"]
    main(["imitate", *teach, "--batches", "30"])
    assert load_agent("runs/im").info["teacher"] == "ucb1(c=0.1)"
    curve = read_progress(Path("runs/im"), KL)
    assert curve.x.tolist() == [25 * 16 * 5, 30 * 16 * 5]
    words = capsys.readouterr().out
    assert f"from the teacher, ucb1(c=0.1): {curve.y[-1]:.4f} nats" in words
    for place in ("runs/im/agent.safetensors", "runs/im/learning_curve.png", "--init runs/im"):
        assert place in words
    assert Path("runs/im/learning_curve.png").stat().st_size > 10_000
    main(["imitate", *teach, "--batches", "30", "--resume"])  # nothing is left to do
    assert f"{curve.y[-1]:.4f} nats" in capsys.readouterr().out
    taught = RL2PPO.load("runs/im/checkpoint.zip").policy.state_dict()
    rest = ["--n-envs", "16", "--learning-rate", "0", "--init", "runs/im", "--out", "runs/rl"]
    main(["train", *common, *rest, "--steps", "80"])
    trained = RL2PPO.load("runs/rl/checkpoint.zip").policy.state_dict()
    for name, tensor in taught.items():
        if not name.startswith("value"):  # the value's scale follows the returns
            th.testing.assert_close(trained[name], tensor)
    info = load_agent("runs/rl").info
    assert info["history"][0]["teacher"] == "ucb1(c=0.1)"
    assert (info["steps"], info["history"][0]["steps"]) == (30 * 16 * 5 + 80, 30 * 16 * 5)
    assert "privileged" not in info

    more = [*common, "--arms", "3", *rest[:-1], "runs/more", "--steps", "80"]
    main(["train", *more])  # the policy takes on an arm
    grown = RL2PPO.load("runs/more/checkpoint.zip").policy.state_dict()
    assert len(grown["action_net.weight"]) == 3

    again = ["--init", "runs/im", "--learning-rate", "0", "--batches", "1", "--out", "runs/again"]
    main(["imitate", *teach[:-2], *again])
    same = RL2PPO.load("runs/again/checkpoint.zip").policy.state_dict()
    assert all((same[name] == tensor).all() for name, tensor in taught.items() if is_acting(name))
    assert load_agent("runs/again").info["history"][0]["teacher"] == "ucb1(c=0.1)"
    with pytest.raises(SystemExit, match="TrialCNN has no such products"):
        main(["imitate", *teach[:-2], "--policy", "CnnGRUPolicy", "--state-action"])

    rest = [*rest[:-1], "runs/told", "--privileged"]  # another value network
    main(["train", *common, *rest, "--steps", "80"])
    trained = RL2PPO.load("runs/told/checkpoint.zip").policy.state_dict()
    for name, tensor in taught.items():
        if is_acting(name):
            th.testing.assert_close(trained[name], tensor)
    told = load_agent("runs/told").info
    assert learned_from(told) == "ucb1, then reward, privileged"
    main(["train", *common, "--steps", "80", "--init", "runs/told", "--out", "runs/after"])
    assert learned_from(load_agent("runs/after").info) == f"{learned_from(told)}, then reward"
    with pytest.raises(SystemExit, match=r"options .* with: --hidden-size 8\.$"):
        main(["train", *common, "--init", "runs/im", "--hidden-size", "9", "--out", "runs/no"])
    with pytest.raises(SystemExit, match="There is no run or agent's file 'runs/none'"):
        main(["train", *common, "--init", "runs/none", "--out", "runs/none"])


@pytest.mark.parametrize("rounds", [[], ["--n-steps", "6"]], ids=["trials", "steps"])
def test_imitation_resumes_as_if_uninterrupted(
    rounds: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["imitate", "bandit", "--arms", "2", "--episodes", "4", "--hidden-size", "8"]
    common += ["--no-progress", *rounds]
    common += ["--trials-per-batch", "16", "--batches", "80", "--n-envs", "64"]  # 20 rounds
    main([*common, "--out", "runs/whole"])

    stop_after_9 = KeyboardInterrupt
    original = Demonstrations.play

    def interrupted(self: Demonstrations, number: int, obs: Any) -> Any:
        if number == 9:
            raise stop_after_9
        return original(self, number, obs)

    monkeypatch.setattr(Demonstrations, "play", interrupted)
    with pytest.raises(SystemExit):
        main([*common, "--out", "runs/parts", "--minutes-between-checkpoints", "0"])
    hint = "Add --resume to go on from runs/parts/checkpoint.zip"
    assert hint in capsys.readouterr().err
    monkeypatch.setattr(Demonstrations, "play", original)
    main([*common, "--out", "runs/parts", "--resume"])
    whole, parts = (
        RL2PPO.load(f"runs/{x}/checkpoint.zip").policy.state_dict() for x in ("whole", "parts")
    )
    for name, tensor in whole.items():
        th.testing.assert_close(parts[name], tensor, rtol=0, atol=0)


def test_a_model_goes_on_within_a_round() -> None:
    """A round of 64 trials makes four batches; the first six leave the second round half used."""
    model = RL2PPO(
        "GRUPolicy", make_trials("bandit", 64, 4, arms=2), policy_kwargs={"hidden_size": 8}
    )
    model.set_logger(_silent())
    teacher = Greedy(arms=2)
    model.num_timesteps = 6 * 16 * 4
    Imitation(model, teacher, ImitationConfig(batches=8, trials_per_batch=16)).learn()
    assert model.num_timesteps == 8 * 16 * 4


@pytest.mark.parametrize(
    "sizes",
    [["--n-envs", "24"], ["--n-envs", "64", "--batches", "7"]],
)
def test_rounds_that_do_not_part_into_batches_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="cannot be made of rounds of"):
        main(["imitate", "bandit", "--batches", "8", "--trials-per-batch", "16", *sizes])
    assert not Path("runs").exists()


def test_a_run_from_before_an_option_had_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--batches", "2", "--trials-per-batch", "2", "--episodes", "2", "--no-progress"]
    main(["imitate", "bandit", *small])
    path = Path("runs/imitation/config.json")
    config = json.loads(path.read_text())
    del config["student_share"]
    path.write_text(json.dumps(config))
    with pytest.raises(SystemExit, match=r"student_share: 0\.0 then, 0\.5 now"):
        main(["imitate", "bandit", *small, "--student-share", "0.5", "--resume"])
    assert "student_share" not in load_agent("runs/imitation").info
    main(["imitate", "bandit", *small, "--resume"])
    main(["imitate", "bandit", *small, "--student-share", "0.5", "--overwrite"])
    assert load_agent("runs/imitation").info["student_share"] == 0.5


def test_a_bad_share_is_refused_before_anything_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--batches", "1", "--trials-per-batch", "2", "--episodes", "2", "--no-progress"]
    main(["imitate", "bandit", *small])
    before = sorted(Path("runs/imitation").iterdir())
    for given, error in (
        (["--student-share", "1.5"], r"student_share=1\.5: use a number from 0 to 1"),
        (["--cost-weight", "1.5"], r"cost_weight=1\.5: use a number from 0 to 1"),
        (["--cost-weight", "0.5"], "has no action costs"),
        (["--teacher", "random"], "has no action probabilities"),
    ):
        with pytest.raises(SystemExit, match=error):
            main(["imitate", "bandit", *small, *given, "--overwrite"])
    assert sorted(Path("runs/imitation").iterdir()) == before
