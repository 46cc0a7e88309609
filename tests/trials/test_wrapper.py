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

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.tasks import StepInfo
from rl2_sb3.trials import TrialWrapper
from rl2_sb3.trials.spaces import flatten, no_action
from tests.envs import (
    ENVS,
    FragileEnv,
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


class ToldEnv(GoalEnv):
    """Tells what to learn from in the reward's place."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward, terminated, truncated, {**info, "rl2": {"training_reward": reward - 7}}


class ToldTasks(GoalTasks):
    def make_env(self) -> GoalEnv:
        return ToldEnv()


def test_what_to_learn_from_is_told_where_it_is_asked_for() -> None:
    for tasks, privileged in ((ToldTasks(), True), (ToldTasks(), False), (GoalTasks(), True)):
        trials = make_trials(tasks, 2, seed=0, privileged=privileged)
        model = RL2PPO("GRUPolicy", trials, n_steps=8, policy_kwargs={"hidden_size": 4})
        if isinstance(tasks, ToldTasks):
            model.learn(16)
            shift = 7 if privileged else 0
            rewards = model.rollout_buffer.rewards
            assert set(np.unique(rewards) + shift) <= {0, 1}
            assert set(np.unique(model.rollout_buffer.observations["reward"])) <= {0, 1}
        else:
            with pytest.raises(RuntimeError, match=r"GoalEnv.* has no training reward: let it put"):
                model.learn(16)
    scaled = VecNormalize(make_trials(ToldTasks(), 2, privileged=True), norm_obs=False)
    with pytest.raises(ValueError, match="Privileged trials in a VecNormalize"):
        RL2PPO("GRUPolicy", scaled)
    with pytest.raises(ValueError, match="privileged=True needs a task distribution"):
        make_trials("CartPole-v1", privileged=True)


class KnowingEnv(ToldEnv):
    """Tells its goal, and how many steps an episode has had."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        obs, info = super().reset(**kwargs)
        self.steps = 0
        return obs, {**info, "rl2": {"privileged_observation": [self.goal, 0]}}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        *given, info = super().step(action)
        self.steps += 1
        told = {**info["rl2"], "privileged_observation": [self.goal, self.steps]}
        return given[0], given[1], given[2], given[3], {**info, "rl2": told}


class KnowingTasks(GoalTasks):
    privileged_size = 2

    def make_env(self) -> GoalEnv:
        return KnowingEnv()


class SilentTasks(KnowingTasks):
    def make_env(self) -> GoalEnv:
        return ToldEnv()


def test_what_only_a_simulator_knows_is_told_where_it_is_asked_for() -> None:
    """With the share of the episodes that are over, and what was last learned from."""
    trial = TrialWrapper(KnowingEnv(), 2, KnowingTasks(), privileged=True)
    obs, _ = trial.reset(seed=0)
    goal = trial.get_wrapper_attr("goal")
    assert obs["privileged"].tolist() == [goal, 0, 0, 0]
    over, episode, steps = False, 0, 0
    while not over:
        obs, reward, over, _, _ = trial.step(trial.action_space.sample())
        episode, steps = episode + int(obs["done"][0]), steps + 1
        steps = 0 if obs["done"][0] and not over else steps
        assert obs["privileged"].tolist() == pytest.approx([goal, steps, episode / 2, reward - 7])
    assert "privileged" not in TrialWrapper(KnowingEnv(), 2, KnowingTasks()).reset()[0]
    silent = TrialWrapper(ToldEnv(), 2, SilentTasks(), privileged=True)
    with pytest.raises(RuntimeError, match=r"shape \(0,\), not \(2,\): give that"):
        silent.reset()


def test_a_lost_trial_is_begun_anew() -> None:
    """The simulator dies in the third step, which is in the first or the second episode."""
    whole = TrialWrapper(FragileEnv(0), 3, GoalTasks())
    trial = TrialWrapper(FragileEnv(3), 3, GoalTasks())
    expected = [whole.reset(seed=0)[0], *(whole.step(1)[:3] for _ in range(3))]
    np.testing.assert_equal(trial.reset(seed=0)[0], expected[0])
    steps = [trial.step(1) for _ in range(3)]
    assert [truncated for _, _, _, truncated, _ in steps] == [False, False, True]
    assert not any(terminated for _, _, terminated, _, _ in steps)
    assert steps[2][0]["done"] == [0]  # the episode is not at its end
    np.testing.assert_equal([step[:3] for step in steps[:2]], expected[1:3])
    with pytest.raises(RuntimeError, match=r"Call reset\(\)"):
        trial.step(1)
    np.testing.assert_equal(trial.reset()[0], expected[0])
    np.testing.assert_equal([trial.step(1)[:3] for _ in range(3)], expected[1:])


def test_what_a_lost_simulator_told_last_stands() -> None:
    """Its episode is not over: whoever values the step that would have come next sees no end."""

    class DyingEnv(KnowingEnv):
        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            obs, reward, _, _, _ = super().step(action)
            return obs, reward, False, True, {"rl2": {"lost": True}}

    trial = TrialWrapper(DyingEnv(), 2, KnowingTasks(), privileged=True)
    before = trial.reset(seed=0)[0]["privileged"]
    obs, _, terminated, truncated, _ = trial.step(0)
    assert (terminated, truncated) == (False, True)
    assert obs["privileged"].tolist() == before.tolist()


def test_a_trial_that_is_always_lost_is_given_up() -> None:
    env = FragileEnv(1)
    trial = TrialWrapper(env, 3, GoalTasks())
    trial.reset(seed=0)
    for _ in range(9):
        env.steps = 0
        assert trial.step(1)[3]
        trial.reset()
    env.steps = 0
    with pytest.raises(RuntimeError, match="simulator died 10 times in a row in a trial of task"):
        trial.step(1)


def test_a_simulator_that_dies_while_a_trial_is_taken_up_says_so() -> None:
    trial = TrialWrapper(FragileEnv(0), 3, GoalTasks(width=20))
    trial.reset(seed=1)
    for _ in range(4):
        trial.step(0)
    with pytest.raises(RuntimeError, match="died while a trial was taken up"):
        TrialWrapper(FragileEnv(2), 3, GoalTasks(width=20)).set_state(trial.get_state())


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
