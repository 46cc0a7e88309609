"""Random tabular MDPs: the contract, what they are drawn from, and both paths to them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3.tasks.mdp_env import GymTabularMDP, TabularMDPEnv
from rl2_sb3.tasks.mdps import MDPs, TabularMDP, Walks, dirichlet
from rl2_sb3.testing import check_tasks
from rl2_sb3.trials import BatchedTrials, make_trials


@pytest.mark.parametrize("tasks", [TabularMDP(), TabularMDP(states=1, actions=1, horizon=1)])
def test_keeps_the_contract(tasks: TabularMDP) -> None:
    check_tasks(tasks)
    check_tasks(GymTabularMDP(tasks))


def two_states(tasks: TabularMDP) -> MDPs:
    """Action 0 stays and pays 0 or 1 by the state; action 1 changes the state and costs 1."""
    rewards = [[0, -1], [1, -1]]
    transitions = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]
    return tasks.mdps([rewards] * 3, [transitions] * 3)


def test_steps_by_hand() -> None:
    tasks = TabularMDP(states=2, actions=2, horizon=3, noise_sd=0)
    params, rng = two_states(tasks), np.random.default_rng(0)
    state, place = tasks.reset(params, rng)
    assert place.tolist() == [0, 0, 0]
    actions = [[0, 1, 1], [0, 0, 1], [1, 0, 0]]
    wanted = [
        ([0, 1, 1], [0, -1, -1], False),
        ([0, 1, 0], [0, 1, -1], False),
        ([1, 1, 0], [-1, 1, 0], True),
    ]
    for action, (places, rewards, over) in zip(actions, wanted, strict=True):
        state, place, reward, ended = tasks.step(params, state, np.array(action), rng)
        assert (place.tolist(), reward.tolist(), ended.tolist()) == (places, rewards, [over] * 3)


def test_optimum_by_hand() -> None:
    """Of four steps, one to change the state and three that pay."""
    tasks = TabularMDP(states=2, actions=2, horizon=4)
    params = two_states(tasks)
    assert tasks.optimal_return(params).tolist() == [2, 2, 2]
    assert params.values[0, :, 0].tolist() == [[1, 2], [0, 1], [0, 0], [0, -1]]


def test_what_the_value_network_is_told() -> None:
    tasks = TabularMDP(states=2, actions=2, horizon=4)
    params = two_states(tasks)
    # At the beginning in state 0; at the last step in state 1; after it.
    told = tasks.privileged_observation(params, Walks(np.array([0, 1, 1]), np.array([0, 3, 4])))
    assert told.tolist() == [
        [1 / 4, 2 / 4, 0, -1, 2 / 4, 1],
        [1 / 4, -1 / 4, 1, -1, 2 / 4, 1 / 4],
        [0, 0, 1, -1, 2 / 4, 0],
    ]


def test_what_is_learned_from_by_hand() -> None:
    """Half a unit at each of four steps, the optimum, less what is lost."""
    tasks = TabularMDP(states=2, actions=2, horizon=4)
    params = two_states(tasks)
    first, last = (Walks(np.array([0, 0, 1]), np.full(3, step)) for step in (0, 3))
    for state, action, losses in (
        (first, [0, 1, 0], [1, 0, 0]),  # to stay costs a step that pays
        (last, [0, 1, 1], [0, 1, 2]),  # to change costs -1 and comes too late
    ):
        told = tasks.training_reward(params, state, np.array(action))
        assert told.tolist() == [0.5 - loss for loss in losses]


def test_what_is_learned_from_has_the_rewards_sum_and_less_noise() -> None:
    tasks, n = TabularMDP(states=4, actions=3, horizon=5), 40_000
    rng = np.random.default_rng(0)
    params = tasks.sample(n, rng)
    state, place = tasks.reset(params, rng)
    rewards, told, ended = np.zeros(n), np.zeros(n), np.zeros(1, bool)
    while not ended.any():
        action = (place + rng.integers(2, size=n)) % 3  # some policy
        told += tasks.training_reward(params, state, action)
        state, place, reward, ended = tasks.step(params, state, action, rng)
        rewards += reward
    difference = rewards - told
    assert abs(difference.mean()) < 4 * difference.std() / n**0.5
    assert difference.std() > 2  # the noise of five rewards, and where chance led
    assert told.std() < 0.8 * rewards.std()


def test_steps_follow_the_mdp() -> None:
    n, tasks = 40_000, TabularMDP(states=3, actions=2, horizon=2, noise_sd=0.5)
    row = [0.2, 0.0, 0.8]
    params = tasks.mdps(np.full((n, 3, 2), 1.5), np.full((n, 3, 2, 3), row))
    state, _ = tasks.reset(params, np.random.default_rng(0))
    action = np.zeros(n, np.int64)
    _, place, reward, _ = tasks.step(params, state, action, np.random.default_rng(1))
    assert np.bincount(place) / n == pytest.approx(row, abs=4 * 0.5 / n**0.5)
    assert stats.kstest(reward, stats.norm(1.5, 0.5).cdf).pvalue > 0.01


def test_agents_meet_the_same_noise_whatever_they_do() -> None:
    tasks, n = TabularMDP(), 500
    params = tasks.sample(n, np.random.default_rng(0))
    state, _ = tasks.reset(params, np.random.default_rng(0))
    noise = []
    for action in 0, 4:
        reward = tasks.step(params, state, np.full(n, action), np.random.default_rng(3))[2]
        noise.append(reward - params.rewards[np.arange(n), state.place, action])
    assert noise[0] == pytest.approx(noise[1])


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_mdps_come_from_their_distribution(alpha: float) -> None:
    tasks = TabularMDP(states=4, actions=3, reward_mean=-1, reward_sd=2, alpha=alpha)
    params = tasks.sample(5000, np.random.default_rng(0))
    assert stats.kstest(params.rewards.ravel(), stats.norm(-1, 2).cdf).pvalue > 0.01
    # A Dirichlet distribution's part is Beta(alpha, 3 alpha); two parts have this covariance.
    transitions = params.transitions.reshape(-1, 4)
    assert stats.kstest(transitions[:, 2], stats.beta(alpha, 3 * alpha).cdf).pvalue > 0.01
    covariance = -1 / 16 / (4 * alpha + 1)
    assert np.cov(transitions.T)[0, 1] == pytest.approx(covariance, rel=0.05)


def test_optimum_of_the_paper_s_mdps() -> None:
    """21.824 ± 0.011 an episode, measured on other MDPs."""
    tasks = TabularMDP()
    best = tasks.optimal_return(tasks.sample(4000, np.random.default_rng(0)))
    assert best.mean() == pytest.approx(21.824, abs=3 * best.std() / len(best) ** 0.5)


def test_who_knows_the_mdp_earns_the_optimum() -> None:
    tasks = TabularMDP()
    trials = BatchedTrials(tasks, 2000, 2, seed=0, privileged=True)
    obs: Any = trials.reset()
    optimum = tasks.optimal_return(trials.get_state()["params"])
    earned = np.zeros(2000)
    for _ in range(tasks.horizon):
        obs, reward, _, _ = trials.step(obs["privileged"][:, : tasks.actions].argmax(axis=1))
        earned += reward
    shortfall = optimum - earned
    assert shortfall.mean() == pytest.approx(0, abs=3 * shortfall.std() / 2000**0.5)


def test_own_mdps_are_kept_as_they_are() -> None:
    tasks, rng = TabularMDP(states=3, actions=2), np.random.default_rng(0)
    rewards, transitions = rng.normal(size=(4, 3, 2)), rng.dirichlet([0.4] * 3, (4, 3, 2))
    params = tasks.mdps(rewards, transitions)
    assert (params.rewards == rewards).all()
    assert params.transitions == pytest.approx(transitions)
    assert (params.cumulative[..., -1] == 1).all()


class Chains(TabularMDP):
    """A distribution of one's own."""

    def sample(self, n: int, rng: np.random.Generator) -> MDPs:
        rewards = np.zeros((n, self.states, self.actions))
        rewards[:, -1] = rng.random((n, 1))
        return self.mdps(rewards, np.full((*rewards.shape, self.states), 1 / self.states))


def test_own_distributions_keep_the_contract() -> None:
    check_tasks(Chains(states=3, actions=2, horizon=4))


def broken(place: tuple[int, ...], number: Any) -> Any:
    transitions = np.full((3, 2, 2, 2), 0.5)
    transitions[place] = number
    return transitions


@pytest.mark.parametrize(
    ("rewards", "transitions", "message"),
    [
        (
            np.zeros((3, 2, 2)),
            broken((2, 0, 1, 1), 0.4),
            r"transitions\[2, 0, 1\] sums to 0\.9, not 1: .* in MDP 2, from state 0 with action 1",
        ),
        (np.zeros((3, 2, 2)), broken((1, 1, 0, 0), np.nan), r"transitions\[1, 1, 0\] is \[nan "),
        (
            np.zeros((3, 2, 2)),
            broken((0, 1, 1), np.array([-0.5, 1.5])),
            r"transitions\[0, 1, 1\] is \[-0\.5  1\.5\]",
        ),
        (
            np.full((3, 2, 2), np.inf),
            broken((0,), 0.5),
            r"rewards\[0, 0, 0\] is inf: give a finite",
        ),
        (np.zeros((3, 2)), broken((0,), 0.5), r"rewards have the shape \(3, 2\), not \(MDPs, "),
        (
            np.zeros((3, 2, 2)),
            np.full((3, 2, 2), 0.5),
            r"transitions have .*, not \(MDPs, states, actions, states\) = \(3, 2, 2, 2\)",
        ),
    ],
)
def test_what_is_no_mdp_is_refused(
    rewards: NDArray[np.float64], transitions: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TabularMDP(states=2, actions=2).mdps(rewards, transitions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"states": 0}, "states=0: an MDP needs at least one"),
        ({"actions": -1}, "actions=-1: an MDP needs at least one"),
        ({"horizon": 0}, "horizon=0: an MDP needs at least one"),
        ({"reward_mean": float("nan")}, "reward_mean=nan: give a finite number"),
        ({"reward_sd": -1.0}, r"reward_sd=-1\.0: a standard deviation is 0 or more"),
        ({"noise_sd": float("nan")}, "noise_sd=nan: a standard deviation"),
        ({"alpha": 0.0}, r"alpha=0\.0: must be positive"),
    ],
)
def test_impossible_distributions_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabularMDP(**options)


def test_tiny_parameters_leave_one_state() -> None:
    rows = dirichlet(1e-5, (4000, 5), np.random.default_rng(0))
    assert (rows.max(axis=1) > 1 - 1e-9).all()
    assert np.bincount(rows.argmax(axis=1)) / 4000 == pytest.approx(0.2, abs=4 * 0.4 / 4000**0.5)
    assert rows.sum(axis=1) == pytest.approx(1)


def test_both_paths_give_the_same_steps_for_the_same_draws() -> None:
    tasks = TabularMDP(states=6, actions=3, horizon=7)
    params = tasks.sample(1, np.random.default_rng(5))
    task = GymTabularMDP(tasks).sample(np.random.default_rng(5))
    env, rng = GymTabularMDP(tasks).make_env(), np.random.default_rng(9)
    state, _ = tasks.reset(params, rng)
    assert env.reset(seed=9, options={"task": task})[0] == 0
    for step in itertools.count():
        action = step % 3
        state, place, reward, ended = tasks.step(params, state, np.array([action]), rng)
        assert env.step(action)[:4] == (place[0], reward[0], ended[0], False)
        if ended:
            break
    assert step == 6


class Nothing(np.random.Generator):
    """Draws 0, which a generator of uniform numbers does once in 2^53 times."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64())

    def random(self, size: Any = ()) -> Any:  # type: ignore[override]
        return np.zeros(size)


def test_no_draw_leads_to_an_impossible_state() -> None:
    tasks = TabularMDP(states=2, actions=1)
    params = tasks.mdps(np.zeros((1, 2, 1)), [[[[0, 1]], [[0, 1]]]])
    state, _ = tasks.reset(params, Nothing())
    assert tasks.step(params, state, np.array([0]), Nothing())[1] == [1]
    env = TabularMDPEnv(tasks)
    env.reset(seed=0, options={"task": MDPs(*(part[0] for part in params))})
    env.np_random = Nothing()
    assert env.step(0)[0] == 1


def test_both_paths_agree_in_distribution() -> None:
    """The returns of an episode and the states visited, with an action for each state."""
    tasks = TabularMDP(states=4, actions=3, horizon=5, alpha=0.5)
    returns, visits = zip(
        *(
            episodes(make_trials(source, 100, episodes=2, seed=1), 40)
            for source in (tasks, GymTabularMDP(tasks))
        ),
        strict=True,
    )
    assert stats.ks_2samp(*returns).pvalue > 0.01
    assert stats.chi2_contingency(visits).pvalue > 0.01


def episodes(trials: VecEnv, episodes: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns of the episodes of all columns, and how often each state was seen in each second."""
    obs: Any = trials.reset()
    returns, seen = np.zeros((episodes, trials.num_envs)), []
    for episode in range(episodes):
        for _ in range(5):
            obs, reward, _, _ = trials.step(obs["observation"] % 3)
            returns[episode] += reward
            seen.append(obs["observation"])
    # Every tenth step, so that what is counted is about independent: other MDPs, mostly.
    return returns[::2].ravel(), np.bincount(np.concatenate(seen[3::10]), minlength=4)


def test_a_plain_environment_draws_its_mdp_and_keeps_it() -> None:
    env = TabularMDPEnv(TabularMDP(noise_sd=0))
    env.reset(seed=0)
    rewards = [env.step(2)[1]]
    env.reset()
    rewards.append(env.step(2)[1])
    env.reset(seed=1)
    rewards.append(env.step(2)[1])
    other = TabularMDPEnv(TabularMDP(noise_sd=0))
    other.reset(seed=1)
    assert rewards[0] == rewards[1] == rewards[2] != other.step(2)[1]
