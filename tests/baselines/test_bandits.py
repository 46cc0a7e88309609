"""The simple bandit agents, against hand-computed pulls and the paper's Table 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rl2_sb3.baselines import UCB1, BanditAgent, EpsilonGreedy, Greedy
from rl2_sb3.baselines.bandits import State
from rl2_sb3.tasks import TabularMDP


def first(trials: int) -> dict[str, NDArray[Any]]:
    """The observation on the first step of trials."""
    return {
        "observation": np.zeros(trials, np.int64),
        "action": np.zeros(trials, np.int64),
        "reward": np.zeros((trials, 1), np.float32),
        "done": np.zeros((trials, 1), np.int8),
        "start": np.ones((trials, 1), np.int8),
    }


def after(action: Any, reward: Any) -> dict[str, NDArray[Any]]:
    """The observation after a pull in each trial."""
    action = np.asarray(action, np.int64)
    return {
        "observation": np.zeros(len(action), np.int64),
        "action": action,
        "reward": np.asarray(reward, np.float32)[:, None],
        "done": np.ones((len(action), 1), np.int8),
        "start": np.zeros((len(action), 1), np.int8),
    }


def play(agent: BanditAgent, pulls: int, trials: int, seed: int = 1) -> NDArray[np.float64]:
    """Total reward (trials,) on arms with means from U[0, 1]."""
    rng = np.random.default_rng(seed)
    means = rng.random((trials, agent.arms))
    observation, state = first(trials), None
    total = np.zeros(trials)
    for _ in range(pulls):
        action, state = agent.predict(observation, state)
        reward = rng.random(trials) < means[np.arange(trials), action]
        total += reward
        observation = after(action, reward)
    return total


def seen(agent: BanditAgent, pulls: list[tuple[int, int]]) -> NDArray[np.float64]:
    """The agent's probabilities after pulls (arm, reward) of one trial."""
    probabilities, state = agent.action_probabilities(first(1))
    for arm, reward in pulls:
        probabilities, state = agent.action_probabilities(after([arm], [reward]), state)
    return np.asarray(probabilities[0])


@pytest.mark.parametrize(
    ("agent", "pulls", "mean", "error"),
    [
        (EpsilonGreedy(arms=5, epsilon=1), 10, 5.0, 0.05),
        (Greedy(arms=5, ties="first"), 10, 6.6, 0.07),
        (Greedy(arms=50, ties="first"), 10, 6.5, 0.07),
        (Greedy(arms=5, ties="first"), 100, 74.8, 0.5),
        (Greedy(arms=10, ties="first"), 100, 77.1, 0.4),
        (EpsilonGreedy(arms=5, epsilon=0, ties="first"), 10, 6.6, 0.07),
        (UCB1(arms=5, c=0.1), 10, 6.7, 0.07),
        (UCB1(arms=5, c=0.2), 100, 78.0, 0.5),
        (UCB1(arms=10, c=0.2), 100, 82.4, 0.35),
    ],
)
def test_table_1(agent: BanditAgent, pulls: int, mean: float, error: float) -> None:
    """Within three of the paper's standard errors, and its rounding."""
    assert play(agent, pulls, 4000).mean() == pytest.approx(mean, abs=3 * error + 0.05)


def test_ties_at_random_are_worth_more_than_table_1() -> None:
    """79.21 ± 0.13 was measured on other instances; the paper's greedy agent has 77.1."""
    assert play(Greedy(arms=10), 100, 4000).mean() == pytest.approx(79.2, abs=0.6)


def test_epsilon_greedy_on_known_arms() -> None:
    """After enough pulls: ε of the time any arm, else the best."""
    probabilities = seen(EpsilonGreedy(arms=4, epsilon=0.2), [(2, 1)])
    assert probabilities == pytest.approx([0.05, 0.05, 0.85, 0.05])


def test_greedy_takes_the_posterior_mean() -> None:
    # One success: 2/3 against 1/2. Then a failure: 2/4 ties with the fresh arms.
    assert seen(Greedy(arms=3), [(1, 1)]).tolist() == [0, 1, 0]
    assert seen(Greedy(arms=3), [(1, 1), (1, 0)]) == pytest.approx([1 / 3] * 3)
    assert seen(Greedy(arms=3, ties="first"), [(1, 1), (1, 0)]).tolist() == [1, 0, 0]
    # With the prior Beta(3, 1), a failure leaves 3/5 and the fresh arm has 3/4.
    assert seen(Greedy(arms=2, prior_alpha=3), [(0, 0)]).tolist() == [0, 1]
    assert (
        Greedy(arms=1, prior_alpha=3).scores(np.zeros((1, 1), np.int32), np.ones((1, 1), np.int32))
        == 3 / 5
    )


def test_ucb1_by_hand() -> None:
    agent = UCB1(arms=2, c=0.5)
    successes, failures = np.array([[2, 0]], np.int32), np.array([[1, 0]], np.int32)
    # Three pulls behind it, so the fourth is to be made.
    assert agent.scores(successes, failures)[0] == pytest.approx(
        [
            3 / 5 + 0.5 * math.sqrt(2 * math.log(4) / 5),
            1 / 2 + 0.5 * math.sqrt(2 * math.log(4) / 2),
        ]
    )
    assert seen(agent, [(0, 1), (0, 0), (0, 1)]).tolist() == [0, 1]
    assert seen(UCB1(arms=2, c=0), [(0, 1), (0, 0), (0, 1)]).tolist() == [1, 0]


def test_state_counts_successes_and_failures() -> None:
    agent = Greedy(arms=3)
    _, state = agent.predict(first(2))
    _, state = agent.predict(after([0, 2], [1, 0]), state)
    before = state
    _, state = agent.predict(after([0, 1], [1, 1]), state)
    assert state[0].tolist() == [[2, 0, 0], [0, 1, 0]]
    assert state[1].tolist() == [[0, 0, 0], [0, 0, 1]]
    assert before[0].tolist() == [[1, 0, 0], [0, 0, 0]], "the state that was passed in changed"


@pytest.mark.parametrize("by", ["observation", "episode_start"])
def test_start_forgets_its_own_trial_only(by: str) -> None:
    agent = Greedy(arms=2)
    _, state = agent.predict(first(3))
    _, state = agent.predict(after([0, 1, 1], [1, 1, 0]), state)
    observation, starts = after([0, 1, 0], [1, 1, 0]), np.array([False, True, False])
    if by == "observation":
        observation["start"] = starts[:, None].astype(np.int8)
        _, state = agent.predict(observation, state)
    else:
        _, state = agent.predict(observation, state, starts)
    assert state[0].tolist() == [[2, 0], [0, 0], [0, 0]]
    assert state[1].tolist() == [[0, 0], [0, 0], [1, 1]]


def test_ties_are_uniform() -> None:
    trials = 30_000
    agent = Greedy(arms=4)
    _, state = agent.predict(first(trials))
    action, _ = agent.predict(after(np.ones(trials), np.zeros(trials)), state)
    counts = np.bincount(action, minlength=4)
    # Arm 1 failed; the other three tie. Five standard errors of a binomial.
    assert counts[1] == 0
    assert counts[[0, 2, 3]] == pytest.approx(trials / 3, abs=5 * math.sqrt(trials * 2 / 9))


@pytest.mark.parametrize("agent", [Greedy(arms=3), EpsilonGreedy(arms=3, epsilon=0.3)])
def test_predict_draws_from_action_probabilities(agent: BanditAgent) -> None:
    trials = 30_000
    _, state = agent.predict(first(trials))
    observation = after(np.ones(trials), np.ones(trials))
    probabilities, _ = agent.action_probabilities(observation, state)
    action, _ = agent.predict(observation, state)
    share = np.bincount(action, minlength=3) / trials
    assert share == pytest.approx(probabilities[0], abs=5 * 0.5 / math.sqrt(trials))


def test_a_seed_is_a_run() -> None:
    runs = [[Greedy(arms=9, seed=seed).predict(first(50))[0] for _ in range(2)] for seed in (1, 2)]
    assert np.array_equal(runs[0][0], runs[0][1])
    assert not np.array_equal(runs[0][0], runs[1][0])


def test_the_agent_does_not_share_its_numbers_with_a_task_of_its_seed() -> None:
    drawn = Greedy(arms=2, seed=3).rng.random(5)
    assert not np.any(drawn == np.random.default_rng(3).random(5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Greedy(arms=0), "at least one arm"),
        (lambda: Greedy(arms=2, prior_beta=0), "must be positive"),
        (lambda: EpsilonGreedy(arms=2, epsilon=1.5), "no probability"),
        (lambda: UCB1(arms=2, c=-1), "negative"),
        (lambda: Greedy(arms=2).predict(after([0], [0.3])), "pay 0 or 1"),
        (lambda: Greedy(arms=2).predict(first(2), wrong_state()), "begin with state=None"),
        (lambda: Greedy.for_tasks(TabularMDP(), 10), "Tabular MDPs have beb"),
    ],
)
def test_errors_name_the_way_out(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def wrong_state() -> State:
    return np.zeros((3, 2), np.int32), np.zeros((3, 2), np.int32)
