import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.logger import Logger

from rl2_sb3 import RL2PPO, BernoulliBandit, evaluate_trials, load_agent, make_trials
from rl2_sb3.agent_file import is_acting
from rl2_sb3.algorithms.demonstrations import Demonstrations, Played, action_distribution
from rl2_sb3.algorithms.imitation import Imitation, first_returns, returns_to_go, rows
from rl2_sb3.baselines import BEB, Greedy
from rl2_sb3.cli import main
from rl2_sb3.config import ImitationConfig
from rl2_sb3.plots.logs import KL, read_progress
from rl2_sb3.signals import learned_from
from rl2_sb3.tasks import TabularMDP
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


def test_demonstrations_are_the_teachers_trials() -> None:
    """What is shown to the policy is what the teacher saw, and its choices have its chances."""
    trials = make_trials("bandit", 400, 6, seed=0, arms=3)
    demonstrations = Demonstrations(trials, Greedy(arms=3), seed=0)
    played, following = demonstrations.play(0, trials.reset())
    rows, chances, costs, rewards, ended, cut, _ = played
    assert not cut.any()
    assert not costs.any()
    assert ended[-1].all()
    assert not ended[:-1].any()
    start = rows["start"].reshape(6, 400)
    assert start[0].all()
    assert not start[1:].any()
    assert following["start"].all()
    np.testing.assert_array_equal(rows["reward"].reshape(6, 400)[1:], rewards[:-1])
    actions = rows["action"].reshape(6, 400)
    np.testing.assert_allclose(chances[0], 1 / 3)
    taken = np.take_along_axis(chances[:-1], actions[1:, :, None], axis=2)
    assert (taken > 0).all()
    first = np.bincount(actions[1], minlength=3) / 400
    np.testing.assert_allclose(first, 1 / 3, atol=0.08)
    stays = actions[2] == actions[1]
    np.testing.assert_array_equal(stays[rewards[0] == 1], True)  # greedy repeats what paid
    part = played.columns(slice(10, 30))
    np.testing.assert_array_equal(part.observations["action"], rows["action"][:, 10:30])
    np.testing.assert_array_equal(part.probabilities, chances[:, 10:30])
    np.testing.assert_array_equal(part.rewards, rewards[:, 10:30])


def test_each_round_draws_choices_of_its_own() -> None:
    """On the same tasks: with one round's number the same choices, with another's others."""

    def chosen(number: int) -> Any:
        trials = make_trials("bandit", 40, 3, seed=0, arms=3)
        played, _ = Demonstrations(trials, Greedy(arms=3), seed=0).play(number, trials.reset())
        return played.observations["action"][1]

    np.testing.assert_array_equal(chosen(0), chosen(0))
    assert (chosen(0) != chosen(1)).any()


def test_the_student_plays_and_the_teacher_says_what_it_would_do() -> None:
    trials = make_trials("bandit", 40, 6, seed=0, arms=3)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 8}, seed=0)
    head: Any = model.policy.action_net
    with th.no_grad():
        head.weight.zero_()
        head.bias.copy_(th.tensor([0.0, 0.0, 50.0]))  # it pulls the last arm
    demonstrations = Demonstrations(trials, Greedy(arms=3), 0, model.policy, student_share=0.25)
    rows, chances, _, rewards, _, _, by_student = demonstrations.play(0, trials.reset())[0]
    assert by_student.nonzero()[0].tolist() == list(range(3, 40, 4))
    actions = rows["action"].reshape(6, 40)[1:]
    assert (actions[:, by_student] == 2).all()
    assert (actions[:, ~by_student] != 2).any()
    failed = by_student & (rewards[0] == 0)
    np.testing.assert_allclose(chances[1, failed], [[0.5, 0.5, 0]] * failed.sum())
    paid = by_student & (rewards[0] == 1)
    np.testing.assert_allclose(chances[1, paid], [[0, 0, 1]] * paid.sum())
    assert failed.any()
    assert paid.any()
    with pytest.raises(ValueError, match=r"student_share=1\.5: use one from 0 to 1"):
        Demonstrations(trials, Greedy(arms=3), 0, model.policy, student_share=1.5)
    with pytest.raises(ValueError, match="of 40 columns one at least"):
        Demonstrations(trials, Greedy(arms=3), 0, model.policy, student_share=0.01)


def test_a_planner_tells_what_actions_cost() -> None:
    """Nothing where it would act itself, something elsewhere."""
    tasks = TabularMDP(states=3, actions=2, horizon=2)
    teacher = BEB(tasks=tasks, scaling=0)
    trials = make_trials(tasks, 50, 2, seed=0)
    played, _ = Demonstrations(trials, teacher, seed=0, costs=True).play(0, trials.reset())
    assert played.costs.shape == played.probabilities.shape == (4, 50, 2)
    assert (played.costs.min(axis=2) == 0).all()
    np.testing.assert_array_equal(played.costs == 0, played.probabilities > 0)


class Told:
    """Pulls the arm that is told to be best; a fair coin among two where nothing is."""

    privileged = True

    def action_probabilities(
        self, obs: Any, state: Any = None, episode_start: Any = None
    ) -> tuple[Any, Any]:
        return np.eye(2)[obs["privileged"][:, :2].argmax(1)], state


class Left:
    """Goes left at each trial's start, then right: its state says whether it began."""

    def action_probabilities(
        self, obs: Any, state: Any = None, episode_start: Any = None
    ) -> tuple[Any, Any]:
        return np.eye(3)[np.where(obs["start"][:, 0] > 0, 0, 2)], state


def test_a_round_of_trials_that_differ_in_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with new trials, and the student remembers in acting what it does in learning."""
    trials = make_trials(RaggedTasks(), 6, 3, seed=0)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 8}, seed=0)
    acted: list[Any] = []
    original = Demonstrations._students_chances

    def recorded(self: Demonstrations, obs: Any, memory: Any) -> Any:
        chances, memory = original(self, obs, memory)
        acted.append(chances)
        return chances, memory

    monkeypatch.setattr(Demonstrations, "_students_chances", recorded)
    demonstrations = Demonstrations(trials, Left(), 0, model.policy, student_share=1, n_steps=30)
    demonstrations.play(0, trials.reset())
    acted.clear()
    obs, chances, _, _, ended, _, _ = demonstrations.play(1, None)[0]
    starts = obs["start"].reshape(30, 6) > 0
    assert starts[0].all()
    np.testing.assert_array_equal(starts[1:], ended[:-1])
    assert (ended.sum(0) >= 2).all()
    np.testing.assert_array_equal(chances[..., 0] == 1, starts)
    tensors = {key: rows(value, model.device) for key, value in obs.items()}
    tensors["memory"] = model.policy.initial_memory(6)
    with th.no_grad():
        model.policy.evaluate(tensors)
    learned = action_distribution(model.policy).probs.reshape(30, 6, 3)
    np.testing.assert_allclose(learned, np.stack(acted), atol=1e-5)


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
    with pytest.raises(SystemExit, match=r"options .* with: --hidden-size 8 .*shape"):
        main(["train", *common, "--init", "runs/im", "--hidden-size", "9", "--out", "runs/no"])
    with pytest.raises(SystemExit, match="There is no run or agent's file 'runs/none'"):
        main(["train", *common, "--init", "runs/none", "--out", "runs/none"])


def test_imitation_resumes_as_if_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["imitate", "bandit", "--arms", "2", "--episodes", "4", "--hidden-size", "8"]
    common += ["--no-progress"]
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


def test_what_cannot_be_imitated() -> None:
    class Silent:
        pass

    bandit = make_trials("bandit", 2, 3)
    with pytest.raises(ValueError, match="has no action probabilities"):
        Demonstrations(bandit, Silent(), seed=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"differ in length: give .* --n-steps"):
        Demonstrations(make_trials("CartPole-v1", 2), Greedy(arms=2), seed=0)
    with pytest.raises(ValueError, match="n_steps=2 is less than a trial's 3 steps"):
        Demonstrations(bandit, Greedy(arms=2), seed=0, n_steps=2)
    with pytest.raises(ValueError, match="Imitation needs discrete actions"):
        Demonstrations(make_trials("Pendulum-v1", 2), Greedy(arms=2), seed=0, n_steps=9)
    with pytest.raises(ValueError, match="Told reads the privileged observation: add --priv"):
        Demonstrations(bandit, Told(), seed=0)
    with pytest.raises(ValueError, match="has no action costs"):
        Demonstrations(bandit, Greedy(arms=2), seed=0, costs=True)
