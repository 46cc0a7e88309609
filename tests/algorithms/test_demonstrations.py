"""What a teacher and its student play, for the student to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.algorithms.demonstrations import Demonstrations, action_distribution
from rl2_sb3.algorithms.imitation import rows as as_rows
from rl2_sb3.baselines import BEB, Greedy
from rl2_sb3.tasks import TabularMDP
from tests.algorithms.teachers import Left, Right, Told
from tests.envs import ListedGoals, RaggedTasks


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
    tensors = {key: as_rows(value, model.device) for key, value in obs.items()}
    tensors["memory"] = model.policy.initial_memory(6)
    with th.no_grad():
        model.policy.evaluate(tensors)
    learned = action_distribution(model.policy).probs.reshape(30, 6, 3)
    np.testing.assert_allclose(learned, np.stack(acted), atol=1e-5)


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


def test_a_trial_that_is_lost_is_cut_and_not_over() -> None:
    """The simulator dies in its third step; an episode may end before that, a trial of nine not."""
    trials = make_trials(ListedGoals(dies=3), 1, 9, seed=0)
    played, _ = Demonstrations(trials, Right(), seed=0, n_steps=5).play(0, None)
    np.testing.assert_array_equal(played.cut[:, 0], [False, False, True, False, False])
    np.testing.assert_array_equal(played.ended, played.cut)
    assert played.columns(slice(0, 1)).cut[2]
