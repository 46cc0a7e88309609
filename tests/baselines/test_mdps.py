"""Agents for tabular MDPs: what they count, how they plan, and the figures of Table 2."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rl2_sb3.algorithms.demonstrations import Demonstrations
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.baselines.mdp_agent import CertainPlanner, MDPAgent
from rl2_sb3.baselines.mdps import (
    BEB,
    OPSRL,
    PSRL,
    UCRL2,
    EpsilonGreedyMDP,
    GreedyMDP,
    ReplanningBEB,
)
from rl2_sb3.baselines.posterior import Prior
from rl2_sb3.evaluation import evaluate_trials
from rl2_sb3.tasks.bandits import BernoulliBandit
from rl2_sb3.tasks.mdp_env import GymTabularMDP
from rl2_sb3.tasks.mdps import TabularMDP
from rl2_sb3.tasks.planning import backward_induction, extended_value_iteration
from rl2_sb3.trials import make_trials

Obs = dict[str, NDArray[Any]]
RESULTS = Path(__file__).parents[2] / "plugins" / "rl2-paper" / "results"
SMALL = TabularMDP(states=3, actions=2, horizon=4)
KINDS: list[type[MDPAgent]] = [PSRL, OPSRL, GreedyMDP, EpsilonGreedyMDP, BEB, UCRL2, ReplanningBEB]
CERTAIN: list[type[CertainPlanner]] = [GreedyMDP, EpsilonGreedyMDP, BEB, UCRL2, ReplanningBEB]


def first(trials: int) -> Obs:
    """The observation on the first step of trials."""
    return {
        "observation": np.zeros(trials, np.int64),
        "action": np.zeros(trials, np.int64),
        "reward": np.zeros((trials, 1), np.float32),
        "done": np.zeros((trials, 1), np.int8),
        "start": np.ones((trials, 1), np.int8),
    }


def after(action: Any, reward: Any, place: Any, done: bool = False) -> Obs:
    """The observation after a step in each trial."""
    action = np.asarray(action, np.int64)
    return {
        "observation": np.asarray(place, np.int64),
        "action": action,
        "reward": np.asarray(reward, np.float32)[:, None],
        "done": np.full((len(action), 1), done, np.int8),
        "start": np.zeros((len(action), 1), np.int8),
    }


@pytest.mark.parametrize(
    ("spec", "episodes", "trials", "mean", "error"),
    [
        ("psrl(prior='paper')", 10, 2000, 138.1, 0.6),
        ("greedy-mdp(prior='paper')", 10, 2000, 134.8, 0.6),
        ("epsilon-greedy-mdp(prior='paper', epsilon=0.1)", 10, 2000, 132.7, 0.6),
        ("beb(prior='paper', scaling=0.0025)", 10, 2000, 150.3, 0.6),
        ("ucrl2(prior='paper', scaling=0.08)", 10, 2000, 146.7, 0.6),
        ("opsrl(prior='paper', samples=11)", 10, 1000, 143.1, 0.8),
        ("greedy-mdp(prior='paper')", 25, 1000, 368.7, 2.0),
        ("greedy-mdp", 10, 2000, 155.1, 0.6),
        ("beb", 10, 2000, 157.5, 0.6),
        ("beb", 25, 1000, 450.9, 1.9),
    ],
)
def test_measured_figures(spec: str, episodes: int, trials: int, mean: float, error: float) -> None:
    """Within three standard errors of what was measured with TabulaRL's rules on 1000 MDPs."""
    tasks = TabularMDP()
    result = evaluate_trials(make_baseline(spec, tasks, episodes), tasks, trials, 1, episodes)
    theirs = error * math.sqrt(trials / 1000)
    assert result.mean == pytest.approx(mean, abs=3 * math.hypot(error, theirs))


def test_memory_by_hand() -> None:
    agent = GreedyMDP(tasks=TabularMDP(states=3, actions=2, horizon=2))
    _, memory = agent.predict(first(2))
    assert not memory.visits.any()
    before = memory
    _, memory = agent.predict(after([1, 0], [2.5, -1], [2, 1]), memory)
    assert memory.visits[:, 0].tolist() == [[0, 1], [1, 0]]
    assert memory.rewards[:, 0].tolist() == [[0, 2.5], [-1, 0]]
    assert memory.transitions[0, 0, 1].tolist() == [0, 0, 1]
    assert memory.transitions[1, 0, 0].tolist() == [0, 1, 0]
    assert (memory.place.tolist(), memory.step.tolist()) == ([2, 1], [1, 1])
    assert memory.values is before.values, "planned again within an episode"
    assert not before.visits.any(), "the state that was passed in changed"
    # The episode ends: its reward counts; state 0 is the next episode's, and followed nothing.
    _, memory = agent.predict(after([1, 1], [1, 1], [0, 0], done=True), memory)
    assert memory.visits[0].tolist() == [[0, 1], [0, 0], [0, 1]]
    assert memory.rewards[0].tolist() == [[0, 2.5], [0, 0], [0, 1]]
    assert memory.transitions.sum(axis=(1, 2, 3)).tolist() == [1, 1]
    assert (memory.step.tolist(), memory.episode.tolist()) == ([0, 0], [2, 2])
    assert memory.values is not before.values


@pytest.mark.parametrize("by", ["observation", "episode_start"])
def test_start_forgets_its_own_trial_only(by: str) -> None:
    agent = GreedyMDP(tasks=SMALL)
    _, memory = agent.predict(first(2))
    observation, starts = after([1, 1], [1, 1], [2, 0]), np.array([False, True])
    if by == "observation":
        observation["start"] = starts[:, None].astype(np.int8)
        _, memory = agent.predict(observation, memory)
    else:
        _, memory = agent.predict(observation, memory, starts)
    for counts in memory.visits, memory.rewards, memory.transitions:
        assert counts.reshape(2, -1).sum(axis=1).tolist() == [1, 0]
    assert (memory.step.tolist(), memory.episode.tolist()) == ([1, 0], [1, 1])


def test_greedy_by_hand() -> None:
    """One state, two actions, prior N(1, 1): a reward of 2 makes (1 + 2) / 2, one of 0 half."""
    agent = GreedyMDP(tasks=TabularMDP(states=1, actions=2, horizon=1))
    probabilities, memory = agent.action_probabilities(first(2))
    assert probabilities.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    observation = after([0, 0], [2, 0], [0, 0], done=True)
    probabilities, memory = agent.action_probabilities(observation, memory)
    assert memory.values[:, 0, 0].tolist() == [[1.5, 1], [0.5, 1]]
    assert probabilities.tolist() == [[1, 0], [0, 1]]


def test_epsilon_greedy_shares_what_greedy_leaves() -> None:
    tasks = TabularMDP(states=1, actions=4, horizon=1)
    agent = EpsilonGreedyMDP(tasks=tasks, epsilon=0.2)
    _, memory = agent.predict(first(1))
    probabilities, _ = agent.action_probabilities(after([2], [3], [0], done=True), memory)
    assert probabilities[0] == pytest.approx([0.05, 0.05, 0.85, 0.05])


def experienced(agent: MDPAgent, trials: int = 40, episodes: int = 3) -> Any:
    """The agent's memory at the beginning of an episode, after some with random actions."""
    rng, tasks = np.random.default_rng(7), agent.tasks
    params = tasks.sample(trials, rng)
    _, memory = agent.predict(first(trials))
    for _ in range(episodes):
        state, _ = tasks.reset(params, rng)
        for step in range(tasks.horizon):
            action = rng.integers(tasks.actions, size=trials)
            state, place, reward, _ = tasks.step(params, state, action, rng)
            last = step == tasks.horizon - 1
            place = np.zeros_like(place) if last else place
            _, memory = agent.predict(after(action, reward, place, done=last), memory)
    return memory


def test_beb_plans_with_its_bonus() -> None:
    """Before anything is seen, with H = 4, scaling 1/32 and so beta = 1, S = 3.

    A step pays 1 and the bonus 1/2; transitions have the bonus 4 / (1 + 3) a step that is left.
    """
    agent = BEB(tasks=SMALL, scaling=1 / 32)
    _, memory = agent.predict(first(1))
    assert memory.values[0, :, 1, 1] == pytest.approx([6 + 6, 4.5 + 3, 3 + 1, 1.5])
    memory = experienced(agent)
    posterior = agent.belief.posterior(*memory[:3])
    rewards, transitions = posterior.mean_mdp()
    total = posterior.concentration.sum(axis=3)
    wanted = backward_induction(
        rewards + 1 / (posterior.precision + 1), transitions, 4, 4 / (1 + total)
    )
    assert memory.values == pytest.approx(wanted)


def test_ucrl2_plans_with_its_bounds() -> None:
    agent = UCRL2(tasks=SMALL, scaling=0.1, delta=0.05)
    memory = experienced(agent, episodes=3)
    rewards, transitions = agent.belief.posterior(*memory[:3]).mean_mdp()
    log = math.log(2 * 3 * 2 * (4 + 1) / 0.05)  # the fourth episode begins
    visits, seen = memory.visits, memory.transitions.sum(axis=3)
    assert (visits == 0).any()
    assert (seen < visits).any()
    wanted = extended_value_iteration(
        rewards + 0.1 * np.sqrt(4 * log / np.maximum(visits, 1)),
        transitions,
        0.1 * np.sqrt(4 * 3 * log / np.maximum(seen, 1)),
        4,
    )
    assert memory.values == pytest.approx(wanted)


@pytest.mark.parametrize("kind", [BEB, UCRL2])
def test_default_scalings_are_near_the_best_of_the_sweeps(kind: type[BEB | UCRL2]) -> None:
    """The nearest point of the paper's grid has within .5 % of the best in any setting."""
    path = RESULTS / "sweeps" / f"{kind.__name__.lower()}.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    for prior, default in kind.scalings.items():
        means = {
            (int(row["episodes"]), float(row["scaling"])): float(row["mean"])
            for row in rows
            if row["prior"] == prior
        }
        nearest = min({scaling for _, scaling in means}, key=lambda s: abs(s / default - 1))
        for n in (10, 25, 50, 75, 100):
            best = max(mean for (episodes, _), mean in means.items() if episodes == n)
            assert means[n, nearest] > 0.995 * best


def test_without_bounds_ucrl2_is_greedy() -> None:
    greedy = experienced(GreedyMDP(tasks=SMALL)).values
    assert experienced(UCRL2(tasks=SMALL, scaling=0)).values == pytest.approx(greedy)


def test_opsrl_takes_the_highest_of_its_draws() -> None:
    """With one draw it is PSRL; the highest of three normal draws has the mean 0.8463."""
    assert (
        experienced(OPSRL(tasks=SMALL, samples=1)).values == experienced(PSRL(tasks=SMALL)).values
    ).all()
    one_step = TabularMDP(states=1, actions=1, horizon=1)
    for samples, mean in (1, 0.0), (3, 0.8463):
        _, memory = OPSRL(tasks=one_step, samples=samples, mu0=0).predict(first(20_000))
        assert memory.values.mean() == pytest.approx(mean, abs=4 / math.sqrt(20_000))


@pytest.mark.parametrize("kind", CERTAIN)
@pytest.mark.parametrize("place", [0, 2])
def test_predict_draws_from_action_probabilities(kind: type[CertainPlanner], place: int) -> None:
    """In state 0, where action 1 paid, and in state 2, where both actions tie."""
    trials = 20_000
    agent = kind.for_tasks(SMALL, 5, prior="paper")
    _, memory = agent.predict(first(trials))
    _, memory = agent.predict(after(np.ones(trials), np.ones(trials), np.zeros(trials)), memory)
    memory = memory._replace(values=agent.plan(memory))
    observation = after(np.ones(trials), np.ones(trials), np.full(trials, place))
    action, _ = agent.predict(observation, memory)
    probabilities, _ = agent.action_probabilities(observation, memory)
    assert (probabilities == probabilities[0]).all()
    assert (probabilities[0, 0] == 0.5) == (place == 2)
    share = np.bincount(action, minlength=2) / trials
    assert share == pytest.approx(probabilities[0], abs=5 * 0.5 / math.sqrt(trials))


def test_a_temperature_tells_how_near_the_others_are_to_the_best() -> None:
    """In state 0, where action 1 paid, by the plan's values; and predict draws from it."""
    trials = 20_000
    agent = BEB(tasks=SMALL, prior="paper", temperature=0.5)
    _, memory = agent.predict(first(trials))
    _, memory = agent.predict(after(np.ones(trials), np.ones(trials), np.zeros(trials)), memory)
    memory = memory._replace(values=agent.plan(memory))
    observation = after(np.ones(trials), np.ones(trials), np.zeros(trials))
    action, last = agent.predict(observation, memory)
    probabilities, _ = agent.action_probabilities(observation, memory)
    values = last.values[0, last.step[0], 0]
    assert np.diff(np.log(probabilities[0])) == pytest.approx(np.diff(values) / 0.5)
    assert agent.action_costs(last)[0] == pytest.approx(values.max() - values)
    share = np.bincount(action, minlength=2) / trials
    assert share == pytest.approx(probabilities[0], abs=5 * 0.5 / math.sqrt(trials))
    assert 0.01 < probabilities[0].min() < 0.49
    with pytest.raises(ValueError, match="temperature=-1: 0 or more"):
        BEB(tasks=SMALL, temperature=-1)


def test_no_state_is_a_start() -> None:
    _, memory = GreedyMDP(tasks=SMALL).predict(after([1, 0], [1, 1], [2, 0]), None)
    assert not memory.visits.any()
    assert (memory.step.tolist(), memory.episode.tolist()) == ([0, 0], [1, 1])


@pytest.mark.parametrize("kind", CERTAIN)
def test_trials_may_be_out_of_step(kind: type[CertainPlanner]) -> None:
    """Two trials, of which the second begins two steps later, are those that begin together."""
    agent, rng = kind.for_tasks(SMALL, 5), np.random.default_rng(0)
    episodes = [first(1)]
    for step in range(9):
        over = step % 4 == 3
        place = 0 if over else rng.integers(3)
        observation = after([rng.integers(2)], [rng.normal()], [place], done=over)
        episodes.append(observation)
    alone, memory = [], None
    for observation in episodes:
        probabilities, memory = agent.action_probabilities(observation, memory)
        alone.append(probabilities[0])
    memory = None
    for step in range(2, len(episodes)):
        late = episodes[step - 2]
        early = episodes[step] if step > 2 else late
        both = {key: np.concatenate([early[key], late[key]]) for key in late}
        probabilities, memory = agent.action_probabilities(both, memory)
        assert probabilities[1] == pytest.approx(alone[step - 2])


def test_plans_do_not_depend_on_the_other_trials() -> None:
    """A thousand MDPs are planned for in chunks."""
    agent = BEB(tasks=TabularMDP())
    memory = experienced(agent, trials=1000, episodes=1)
    for trial in 0, 523, 524, 999:
        alone = type(memory)(*(part[trial : trial + 1] for part in memory))
        assert (agent.plan(alone)[0] == memory.values[trial]).all()


@pytest.mark.parametrize(
    ("kind", "parameters", "prior"),
    [
        (PSRL, {}, Prior(2, 4, 0.5, 0.25)),
        (PSRL, {"prior": "paper"}, Prior(0, 1, 1, 0.25)),
        (OPSRL, {"prior": "paper"}, Prior(0, 1, 1, 0.25)),
        (BEB, {"prior": "paper"}, Prior(0, 1, 1, 0.25)),
        (GreedyMDP, {"prior": "paper"}, Prior(0, 1e-4, 1e-4, 0.25)),
        (EpsilonGreedyMDP, {"prior": "paper"}, Prior(0, 1e-4, 1e-4, 0.25)),
        (UCRL2, {"prior": "paper"}, Prior(0, 1e-4, 1e-5, 0.25)),
        (UCRL2, {"tau0": 7}, Prior(2, 7, 0.5, 0.25)),
        (BEB, {"prior": "paper", "mu0": -1, "alpha0": 3}, Prior(-1, 1, 3, 0.25)),
    ],
)
def test_priors(kind: type[MDPAgent], parameters: Any, prior: Prior) -> None:
    tasks = TabularMDP(reward_mean=2, reward_sd=0.5, noise_sd=2, alpha=0.5)
    assert kind.for_tasks(tasks, 10, **parameters).belief == prior


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_is_a_run(kind: type[MDPAgent]) -> None:
    runs = [
        [kind.for_tasks(SMALL, 5, seed=seed).predict(first(99))[0] for _ in range(2)]
        for seed in (1, 2)
    ]
    assert np.array_equal(runs[0][0], runs[0][1])
    assert not np.array_equal(runs[0][0], runs[1][0])


def test_the_agent_does_not_share_its_numbers_with_a_task_of_its_seed() -> None:
    drawn = PSRL(tasks=SMALL, seed=3).rng.random(5)
    assert not np.any(drawn == np.random.default_rng(3).random(5))


@pytest.mark.parametrize("kind", KINDS)
def test_plays_the_gymnasium_environment(kind: type[MDPAgent]) -> None:
    tasks = GymTabularMDP(SMALL)
    result = evaluate_trials(kind.for_tasks(tasks, 3), tasks, 8, episodes=3)
    assert result.lengths.tolist() == [[4, 4, 4]] * 8


def test_beb_can_be_imitated() -> None:
    trials = make_trials(SMALL, 5, episodes=3, seed=0)
    demonstrations = Demonstrations(trials, BEB(tasks=SMALL), seed=0)
    (_, probabilities, _, rewards, *_), _ = demonstrations.play(0, trials.reset())
    assert probabilities.shape == (3 * 4, 5, 2)
    assert probabilities.sum(axis=2) == pytest.approx(1)
    assert rewards.shape == (12, 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PSRL.for_tasks(BernoulliBandit(), 10), "plays tabular MDPs, not Bernoulli"),
        (
            lambda: PSRL.for_tasks(SMALL, 10, scaling=1),
            r"no parameter 'scaling', only \['seed', 'prior'",
        ),
        (lambda: PSRL(tasks=SMALL, prior="flat"), "prior='flat': use 'true' or 'paper', or mu0"),  # type: ignore[arg-type]
        (lambda: PSRL(tasks=SMALL, tau0=-1), "tau0=-1: must be positive"),
        (lambda: PSRL(tasks=SMALL, alpha0=0), "alpha0=0: must be positive"),
        (lambda: PSRL(tasks=TabularMDP(noise_sd=0)), "noise_sd=0: .* Set it above 0"),
        (lambda: PSRL(tasks=TabularMDP(reward_sd=0)), "reward_sd=0: .* Set tau0"),
        (lambda: OPSRL(tasks=SMALL, samples=0), "samples=0: at least one draw"),
        (lambda: EpsilonGreedyMDP(tasks=SMALL, epsilon=1.5), r"epsilon=1\.5 is no probability"),
        (lambda: BEB(tasks=SMALL, scaling=-1), "scaling=-1 is negative"),
        (lambda: UCRL2(tasks=SMALL, delta=1), "delta=1 is no probability"),
        (lambda: GreedyMDP(tasks=SMALL).predict(first(2), wrong_state()), "begin with state=None"),
        (lambda: beyond_the_horizon(), "Step 5 of an episode with horizon=4"),
    ],
)
def test_errors_name_the_way_out(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def wrong_state() -> Any:
    return GreedyMDP(tasks=SMALL).predict(first(3))[1]


def beyond_the_horizon() -> None:
    agent = GreedyMDP(tasks=SMALL)
    _, memory = agent.predict(first(1))
    for _ in range(4):
        _, memory = agent.predict(after([0], [0], [0]), memory)
