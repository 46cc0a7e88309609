import warnings
from collections.abc import Callable, Iterator
from typing import Any, cast

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

from rl2_sb3.tasks import StepInfo
from rl2_sb3.trials import TrialWrapper
from rl2_sb3.trials.spaces import flatten, no_action
from tests.envs import (
    ENVS,
    GoalEnv,
    GoalTasks,
    LastRewardEnv,
    SmallEnv,
    image_env,
    truncating_env,
)

MakeEnv = Callable[[], gym.Env[Any, Any]]


def actions_of(space: spaces.Space[Any], seed: int) -> Iterator[Any]:
    space.seed(seed)
    while True:
        yield space.sample()


def run(trial: Any, actions: Iterator[Any], steps: int | None = None) -> list[Any]:
    """Steps to the trial's end, or so many with resets between trials."""
    results: list[Any] = []
    while len(results) != steps:
        results.append(trial.step(next(actions)))
        if results[-1][2]:
            if steps is None:
                break
            results.append(trial.reset())
    return results


@pytest.mark.parametrize("make_env", ENVS.values(), ids=ENVS.keys())
def test_trial_is_its_episodes_end_to_end(make_env: MakeEnv) -> None:
    trial, env = TrialWrapper(make_env(), episodes=3), make_env()
    first, _ = trial.reset(seed=7)
    actions = actions_of(trial.action_space, 0)
    results = run(trial, actions)

    seen = iter([first, *(result[0] for result in results)])
    outcomes = iter(results)
    taken = actions_of(env.action_space, 0)
    last: dict[str, Any] = {
        "action": no_action(env.action_space),
        "reward": [0],
        "done": [0],
        "start": [1],
    }
    for episode in range(3):
        own, _ = env.reset(seed=trial._task)
        ended = False
        while not ended:
            np.testing.assert_equal(next(seen), {**flatten(own, trial.observation_space), **last})
            action = next(taken)
            own, reward, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
            last = {
                "action": action,
                "reward": np.array([reward], np.float32),
                "done": [ended],
                "start": [0],
            }
            over = ended and episode == 2
            *came, told = next(outcomes)[1:]
            assert told.pop("rl2", StepInfo()).success == info.get("is_success")
            assert (*came, told) == (reward, over, False, info)
    own_parts = flatten(own, trial.observation_space)
    np.testing.assert_equal(next(seen), {**own_parts, **last})  # the terminal observation
    assert next(outcomes, None) is None


def test_end_of_an_inner_episode_by_truncation() -> None:
    trial = TrialWrapper(truncating_env(), episodes=2)
    trial.reset()
    results = [trial.step(0) for _ in range(6)]

    assert [result[0]["done"].item() for result in results] == [0, 0, 1, 0, 0, 1]
    assert [result[2] for result in results] == [False] * 5 + [True]  # terminated
    assert not any(result[3] for result in results)  # truncated


def test_reward_of_an_episode_s_last_step_is_seen_in_the_next_episode() -> None:
    trial = TrialWrapper(LastRewardEnv(length=3), episodes=2)
    trial.reset(seed=0)
    target = trial.unwrapped.target  # type: ignore[attr-defined]
    other = (target + 1) % 3
    rewards = [trial.step(action)[0]["reward"].item() for action in (target, target, other) * 2]

    assert rewards == [0, 0, 2, 0, 0, 2]


@pytest.mark.parametrize("make_env", [*ENVS.values(), GoalEnv], ids=[*ENVS, "goal"])
def test_checkers_pass(make_env: MakeEnv) -> None:
    tasks = GoalTasks() if make_env is GoalEnv else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on wrappers, on small images and on uneven bounds
        gymnasium_check(TrialWrapper(make_env(), 2, tasks), skip_render_check=True)
        sb3_check(TrialWrapper(make_env(), 2, tasks))


def test_checkers_pass_on_a_registered_environment() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gymnasium_check(TrialWrapper(gym.make("CartPole-v1"), 2), skip_render_check=True)


def test_seed_is_the_task() -> None:
    trial = TrialWrapper(gym.make("CartPole-v1"), episodes=2)
    starts = []
    observation, _ = trial.reset(seed=0)
    for _ in range(3):
        starts.append([tuple(observation["observation"])])
        terminated = False
        while not terminated:
            observation, _, terminated, _, _ = trial.step(0)
            if observation["done"] and not terminated:
                starts[-1].append(tuple(observation["observation"]))
        observation, _ = trial.reset()

    assert all(first == second for first, second in starts)
    assert len({first for first, _ in starts}) == 3


def test_task_comes_by_options_and_episodes_have_their_own_seeds() -> None:
    trial = TrialWrapper(GoalEnv(), 20, GoalTasks())
    first, _ = trial.reset(seed=3)
    env: Any = trial.unwrapped
    goals, starts = [env.goal], {first["observation"].item()}
    terminated = False
    while not terminated:
        observation, _, terminated, _, _ = trial.step(0)
        goals.append(env.goal)
        if observation["done"] and not terminated:
            starts.add(observation["observation"].item())
    assert len(set(goals)) == 1
    assert starts == {-2, -1, 0, 1, 2}

    drawn = {(trial.reset(), env.goal)[1] for _ in range(40)}
    assert drawn == set(range(-5, 6))


@pytest.mark.parametrize("seed", [0, 5, 2**32 + 1, 2**70])
def test_trials_of_a_seed_do_not_depend_on_actions(seed: int) -> None:
    def tasks(action_seed: int, trials: int = 4) -> list[Any]:
        trial = TrialWrapper(LastRewardEnv(), 2)
        actions = actions_of(trial.action_space, action_seed)
        trial.reset(seed=seed)
        drawn = [trial._task]
        for _ in range(trials - 1):
            run(trial, actions)
            trial.reset()
            drawn.append(trial._task)
        return drawn

    assert tasks(1) == tasks(2)
    assert len(set(tasks(1))) == 4


def test_seeds_have_no_trials_in_common() -> None:
    # Entropy of several words must not run into the trial's number.
    trial, drawn = TrialWrapper(SmallEnv(spaces.Discrete(2), spaces.Discrete(2)), 1), []
    for seed in (0, 1, 2**32, 7 * 2**32, 7 * 2**32 + 5, 5):
        trial.reset(seed=seed)
        for _ in range(8):
            drawn.append(trial._task)
            trial.reset()
    assert len(set(drawn)) == len(drawn)


def test_without_a_seed_trials_differ() -> None:
    drawn = set()
    for _ in range(5):
        trial = TrialWrapper(truncating_env(), 1)
        trial.reset()
        drawn.add(trial._task)
    assert len(drawn) == 5


@pytest.mark.parametrize("make_env", [*ENVS.values(), GoalEnv], ids=[*ENVS, "goal"])
@pytest.mark.parametrize("steps", [0, 1, 3, 5])
def test_state_in_the_middle_of_a_trial_goes_on_identically(make_env: MakeEnv, steps: int) -> None:
    tasks = GoalTasks() if make_env is GoalEnv else None
    trial, resumed = (TrialWrapper(make_env(), 3, tasks) for _ in range(2))
    trial.reset(seed=11)
    actions = actions_of(trial.action_space, 0)
    run(trial, actions, 20)
    trial.reset()
    run(trial, actions, steps)
    state = trial.get_state()
    expected = run(trial, actions_of(trial.action_space, 1), 20)

    resumed.set_state(state)
    np.testing.assert_equal(run(resumed, actions_of(resumed.action_space, 1), 20), expected)


def test_state_at_a_trial_s_end() -> None:
    trial, resumed = (TrialWrapper(truncating_env(), 1) for _ in range(2))
    trial.reset(seed=1)
    run(trial, actions_of(trial.action_space, 0))
    resumed.set_state(trial.get_state())
    with pytest.raises(RuntimeError, match=r"Call reset\(\) before step\(\), and after"):
        resumed.step(0)
    np.testing.assert_equal(resumed.reset(), trial.reset())


def test_tasks_in_their_order() -> None:
    trial = TrialWrapper(GoalEnv(), 1, GoalTasks(), order=[3, -4])
    goals = [(trial.reset(), trial.get_wrapper_attr("goal"))[1] for _ in range(5)]
    assert goals == [3, -4, 3, -4, 3]


def test_terminal_observation_in_a_vec_env() -> None:
    envs: Any = DummyVecEnv([lambda: TrialWrapper(LastRewardEnv(length=2), 1)])
    envs.seed(0)
    envs.reset()
    target = envs.get_attr("target")[0]
    envs.step([target])
    obs, reward, done, (info,) = envs.step([target])

    assert (reward, done) == ([2], [True])
    assert info["TimeLimit.truncated"] is False
    terminal = info["terminal_observation"]
    assert (terminal["reward"], terminal["done"], terminal["start"]) == ([2], [1], [0])
    assert terminal["action"] == target
    assert (obs["reward"], obs["done"], obs["start"], obs["action"]) == ([0], [0], [1], [0])


def test_observations_keep_their_action() -> None:
    trial = TrialWrapper(SmallEnv(spaces.Discrete(1), spaces.Box(-1, 1, (2,))), 1)
    trial.reset()
    action = np.array([0.5, -0.5], np.float32)
    observation = trial.step(action)[0]
    action[:] = 0
    np.testing.assert_array_equal(observation["action"], np.array([0.5, -0.5], np.float32))


def test_vec_wrappers() -> None:
    images: Any = VecTransposeImage(DummyVecEnv([lambda: TrialWrapper(image_env(), 1)]))
    assert images.reset()["observation"].shape == (1, 3, 24, 20)
    for _ in range(3):
        obs, _, _, infos = images.step([0])
    assert obs["observation"].shape == (1, 3, 24, 20)
    assert infos[0]["terminal_observation"]["observation"].shape == (3, 24, 20)

    columns = DummyVecEnv([lambda: TrialWrapper(truncating_env(), 2)])
    trials: Any = VecMonitor(VecNormalize(columns, norm_obs_keys=["observation", "reward"]))
    start = trials.reset()["start"].tolist()
    for _ in range(6):
        obs, _, done, infos = trials.step([0])
        start.append(obs["start"].tolist()[0])
    assert start == [[1], [0], [0], [0], [0], [0], [1]]
    assert done
    assert infos[0]["episode"]["l"] == 6


class FirstArm:
    def predict(self, observation: Any, state: Any = None, **_: Any) -> Any:
        return np.zeros(len(observation["start"]), np.int64), state


def paid_trial(env: gym.Env[Any, Any]) -> TrialWrapper:
    return TrialWrapper(env, episodes=3)


class PaidEnv(SmallEnv):
    """Two steps that pay 1 each."""

    def __init__(self) -> None:
        super().__init__(spaces.Discrete(1), spaces.Discrete(2), length=2)

    def reward(self, action: Any, over: bool) -> float:
        return 1.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: paid_trial(PaidEnv()),
        lambda: Monitor(paid_trial(PaidEnv())),
        lambda: make_vec_env(PaidEnv, 2, wrapper_class=paid_trial),  # with a Monitor inside
        lambda: VecMonitor(make_vec_env(PaidEnv, 2, wrapper_class=paid_trial)),
    ],
)
def test_evaluate_policy_gives_returns_of_trials(make: Callable[[], Any]) -> None:
    policy: Any = FirstArm()
    results: Any = evaluate_policy(
        policy, make(), n_eval_episodes=4, return_episode_rewards=True, warn=False
    )
    assert results == ([6] * 4, [6] * 4)


def test_step_needs_a_reset() -> None:
    trial = TrialWrapper(truncating_env(), 1)
    with pytest.raises(RuntimeError, match=r"Call reset\(\) before step\(\)"):
        trial.step(0)
    trial.reset()
    run(trial, actions_of(trial.action_space, 0))
    with pytest.raises(RuntimeError, match="and after a trial's end"):
        trial.step(0)


class NoSpaces(gym.Env[Any, Any]):
    """Says nothing of itself."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrialWrapper(truncating_env(), 0), "episodes=0: a trial has at least one"),
        (lambda: TrialWrapper(TrialWrapper(truncating_env(), 2), 2), "a trial already: wrap it"),
        (lambda: TrialWrapper(Monitor(paid_trial(PaidEnv())), 2), "a trial already: wrap it once"),
        (
            lambda: TrialWrapper(SmallEnv(spaces.Text(3), spaces.Discrete(2)), 2),
            "Observation space 'observation': Text.* is not supported: flatten it first",
        ),
        (lambda: TrialWrapper(NoSpaces(), 2), "NoSpaces.* has no observation_space: set it in its"),
        (
            lambda: TrialWrapper(SmallEnv(spaces.Discrete(2), cast(Any, 3)), 2),
            "SmallEnv.* has no action_space",
        ),
    ],
)
def test_what_cannot_be_wrapped(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
