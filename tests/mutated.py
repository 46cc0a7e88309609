"""The changes that :mod:`tests.mutations` makes."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """A change of one place in the code, which a test must find."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


TRIALS = ("tests/trials",)
WRAPPER, BATCHED = ("tests/trials/test_wrapper.py",), ("tests/trials/test_batched.py",)
SEAMS = ("tests/trials/test_seams.py",)
BUFFERS = ("tests/algorithms/test_buffers.py",)
ROLLOUTS = ("tests/algorithms/test_rollouts.py", "tests/algorithms/test_lost_trials.py")
UPDATES = ("tests/algorithms/test_updates.py", "tests/algorithms/test_trpo.py")
IMITATION = ("tests/algorithms/test_imitation.py", "tests/algorithms/test_updates.py")
SAVING = ("tests/algorithms/test_saving.py",)
MEMORIES = ("tests/memories/test_gru.py", "tests/memories/test_lstm.py")
SUMS = ("tests/memories/test_sums.py",)
POPART, POLICIES = ("tests/policies/test_popart.py",), ("tests/policies/test_policies.py",)
EVALUATION = ("tests/test_evaluation.py", "tests/trials/test_play.py")
AGENT = ("tests/test_agent.py", "tests/test_agent_steps.py")

_FILES = {
    "agent": "rl2_sb3/agent.py",
    "batched": "rl2_sb3/trials/batched.py",
    "buffers": "rl2_sb3/algorithms/buffers.py",
    "demonstrations": "rl2_sb3/algorithms/demonstrations.py",
    "evaluation": "rl2_sb3/evaluation.py",
    "gru": "rl2_sb3/memories/gru.py",
    "imitation": "rl2_sb3/algorithms/imitation.py",
    "lstm": "rl2_sb3/memories/lstm.py",
    "play": "rl2_sb3/trials/play.py",
    "policies": "rl2_sb3/policies/policies.py",
    "popart": "rl2_sb3/policies/popart.py",
    "ppo": "rl2_sb3/algorithms/ppo.py",
    "rollouts": "rl2_sb3/algorithms/rollouts.py",
    "saving": "rl2_sb3/algorithms/saving.py",
    "steps": "rl2_sb3/trials/steps.py",
    "sums": "rl2_sb3/memories/sums.py",
    "trpo": "rl2_sb3/algorithms/trpo.py",
    "updates": "rl2_sb3/algorithms/updates.py",
    "wrapper": "rl2_sb3/trials/wrapper.py",
}


def _mutation(name: str, file: str, old: str, new: str, tests: tuple[str, ...]) -> Mutation:
    return Mutation(name, _FILES[file], old, new, tests)


_WRAPPER_REWARD = '"reward": np.array([reward], np.float32)'
_ENDED_RESET = "self.tasks.reset(take(self._params, ended), self._noise_rng)"
_ALL_RESET = (
    "self._state, own = self.tasks.reset(self._params, self._noise_rng)\n            return"
)
_FIRST_VALUES = "FloatSchedule(self.clip_range)(now), FloatSchedule(self.ent_coef)(now), "
_LAST_VALUES = """policy.value_in_rewards(
                policy.predict_values(self._tensors(self._last_obs))
            )"""
_TASKS_OF_TRIALS = (
    _mutation(
        "inner resets draw from the tasks' generator",
        "batched",
        _ENDED_RESET,
        _ENDED_RESET.replace("_noise_rng", "_task_rng"),
        BATCHED + SEAMS,
    ),
    _mutation(
        "common inner resets draw from the tasks' generator",
        "batched",
        _ALL_RESET,
        _ALL_RESET.replace("_noise_rng", "_task_rng"),
        BATCHED + SEAMS,
    ),
    _mutation(
        "arrays: rewards in the observation clipped",
        "batched",
        '"reward": reward[:, None]',
        '"reward": reward[:, None].clip(-10, 10)',
        BATCHED + SEAMS,
    ),
    _mutation(
        "wrapper: rewards in the observation clipped",
        "wrapper",
        _WRAPPER_REWARD,
        _WRAPPER_REWARD.replace("[reward]", "[min(max(reward, -10), 10)]"),
        WRAPPER + SEAMS,
    ),
    _mutation(
        "the count of losses in a row is never reset",
        "wrapper",
        "self._started, self._losses = False, 0",
        "self._started = False",
        WRAPPER + SEAMS,
    ),
    _mutation(
        "a lost trial is not begun anew",
        "wrapper",
        "        self._trial -= 1\n",
        "",
        WRAPPER,
    ),
    _mutation(
        "a lost episode is told to be at its end",
        "wrapper",
        "done = ended and not lost",
        "done = ended",
        WRAPPER + SEAMS,
    ),
    _mutation(
        "a trial's first observation shows the last reward",
        "batched",
        "np.where(done, np.float32(0), reward)",
        "reward",
        BATCHED,
    ),
    _mutation(
        "a trial's first observation shows the last end",
        "batched",
        "ended & ~done,",
        "ended,",
        BATCHED,
    ),
    _mutation(
        "noise is not taken up again",
        "batched",
        'self._noise_rng.bit_generator.state = state["noise_rng"]',
        'self._noise_rng.bit_generator.state = state["task_rng"]',
        BATCHED,
    ),
    _mutation(
        "any truncation is a lost trial",
        "steps",
        'lost[column] = done[column] and info.get("TimeLimit.truncated", False)',
        'lost[column] = info.get("TimeLimit.truncated", False)',
        ("tests/trials/test_steps.py",),
    ),
)
_LEARNING = (
    _mutation(
        "gae_lambda is not restored",
        "buffers",
        "self.advantages, self.gae_lambda = advantages, gae_lambda",
        "self.advantages = advantages",
        BUFFERS,
    ),
    _mutation(
        "a lost trial's value with another column's memory",
        "rollouts",
        'obs["memory"] = buffer.memory[column : column + 1]',
        'obs["memory"] = buffer.memory[:1]',
        ROLLOUTS,
    ),
    _mutation(
        "a lost trial's value is not discounted",
        "rollouts",
        "+= self.gamma * float(value)",
        "+= float(value)",
        ROLLOUTS,
    ),
    _mutation(
        "what comes after the block has the network's units",
        "rollouts",
        _LAST_VALUES,
        "policy.predict_values(self._tensors(self._last_obs))",
        BUFFERS + ROLLOUTS,
    ),
    _mutation(
        "learning from rewards where more is told",
        "rollouts",
        "rollout_buffer.put(obs, actions, came.training_reward",
        "rollout_buffer.put(obs, actions, came.reward",
        ("tests/algorithms/test_privileged.py",),
    ),
    _mutation(
        "actions are not clipped",
        "rollouts",
        "clipped_actions = np.clip(actions, self.action_space.low, self.action_space.high)",
        "clipped_actions = actions",
        ROLLOUTS,
    ),
    _mutation("TRPO's clip range doubled", "trpo", _FIRST_VALUES, f"2 * {_FIRST_VALUES}", UPDATES),
    _mutation(
        "TRPO's gradient is not clipped",
        "trpo",
        "Updates(self.policy, loss, self.max_grad_norm)",
        "Updates(self.policy, loss, 1e9)",
        UPDATES,
    ),
    _mutation(
        "TRPO's bound doubled",
        "trpo",
        "if kl <= self.target_kl and",
        "if kl <= 2 * self.target_kl and",
        UPDATES,
    ),
    _mutation(
        "PPO's gradient is not clipped",
        "ppo",
        "Updates(self.policy, loss, self.max_grad_norm, self.target_kl)",
        "Updates(self.policy, loss, 1e9, self.target_kl)",
        UPDATES,
    ),
    _mutation(
        "PPO's advantages are not standardised",
        "ppo",
        "            self.normalize_advantage,\n",
        "            False,\n",
        UPDATES,
    ),
    _mutation(
        "the entropy is punished",
        "updates",
        "-entropy.mean()",
        "entropy.mean()",
        UPDATES,
    ),
    _mutation(
        "the early stop is late",
        "updates",
        "moved > 1.5 * self.target_kl",
        "moved > 15 * self.target_kl",
        UPDATES,
    ),
    _mutation(
        "imitation's cosine is off by one",
        "imitation",
        "math.pi * number / self",
        "math.pi * (number + 1) / self",
        IMITATION,
    ),
    _mutation(
        "imitation's returns are not discounted",
        "imitation",
        "following = rewards[t] + gamma * following",
        "following = rewards[t] + following",
        IMITATION,
    ),
    _mutation(
        "all rounds of a teacher have the same choices",
        "demonstrations",
        "np.random.default_rng([self.seed, number])",
        "np.random.default_rng([self.seed])",
        IMITATION,
    ),
    _mutation(
        "torch's generator is not taken up again",
        "saving",
        '        th.set_rng_state(th.as_tensor(state["torch_rng"]))\n',
        "",
        SAVING,
    ),
    _mutation(
        "memory is not taken up again",
        "saving",
        'self._memory = th.as_tensor(state["memory"], device=self.device)',
        "pass",
        SAVING,
    ),
)
_NETWORKS = (
    _mutation(
        "the floor under the returns' deviation is removed",
        "popart",
        "max(float(returns.std()), 1e-6 * abs(mean), 1e-8)",
        "float(returns.std())",
        POPART,
    ),
    _mutation(
        "the floor in proportion to the mean is removed",
        "popart",
        "max(float(returns.std()), 1e-6 * abs(mean), 1e-8)",
        "max(float(returns.std()), 1e-8)",
        POPART,
    ),
    _mutation(
        "the head is shifted the other way",
        "popart",
        "old.shift - new.shift",
        "new.shift - old.shift",
        POPART,
    ),
    _mutation(
        "gradients pass resets",
        "gru",
        "grad_h = kept if keep is None else kept.mul_(keep[t])",
        "grad_h = kept",
        MEMORIES,
    ),
    _mutation(
        "memory_steps sets the reset gates",
        "gru",
        "self.bias[size : 2 * size].uniform_",
        "self.bias[:size].uniform_",
        MEMORIES,
    ),
    _mutation(
        "the LSTM's cell is not reset",
        "lstm",
        "h, c = h * keep[t], c * keep[t]",
        "h = h * keep[t]",
        MEMORIES,
    ),
    _mutation(
        "the LSTM's forget bias is the input gate's",
        "lstm",
        "self.bias[size : 2 * size], forget_bias",
        "self.bias[:size], forget_bias",
        MEMORIES,
    ),
    _mutation("sums live on", "sums", "state = state * kept + step", "state = state + step", SUMS),
    _mutation(
        "predict does not clip", "policies", "actions = np.clip(actions, ", "(actions, ", POLICIES
    ),
    _mutation(
        "predict overlooks episode_start",
        "policies",
        'obs["start"].bool() | start.bool()',
        'obs["start"].bool()',
        POLICIES,
    ),
)
_PLAYING = (
    _mutation(
        "evaluation is not seeded", "evaluation", "        th.manual_seed(seed)\n", "", EVALUATION
    ),
    _mutation(
        "evaluation plays the tasks of training",
        "evaluation",
        "np.random.SeedSequence([TEST_TASKS, seed, begin]).generate_state(1)[0]",
        "seed + begin",
        EVALUATION,
    ),
    _mutation(
        "a lost trial's returns stay",
        "evaluation",
        "returns[trial], lengths[trial], successes[trial] = 0, 0, np.nan",
        "lengths[trial], successes[trial] = 0, np.nan",
        EVALUATION,
    ),
    _mutation(
        "a lost trial is not played again",
        "play",
        "np.where(start & ~came.lost, ",
        "np.where(start, ",
        EVALUATION,
    ),
    _mutation(
        "idle columns are counted", "evaluation", "ended = busy & came", "ended = came", EVALUATION
    ),
    _mutation(
        "observe drops done",
        "agent",
        "np.asarray(done, np.int8).reshape(rows, 1)",
        "np.zeros((rows, 1), np.int8)",
        AGENT,
    ),
    _mutation(
        "observe drops the reward",
        "agent",
        "np.asarray(reward, np.float32).reshape(rows, 1)",
        "np.zeros((rows, 1), np.float32)",
        AGENT,
    ),
    _mutation(
        "act drops the last action", "agent", '        self._last["action"] = actions\n', "", AGENT
    ),
    _mutation(
        "every step starts a trial",
        "agent",
        'self._last["start"] = np.zeros(',
        'self._last["start"] = np.ones(',
        AGENT,
    ),
    _mutation(
        "act is never deterministic",
        "agent",
        "self._state, deterministic=deterministic\n",
        "self._state, deterministic=False\n",
        AGENT,
    ),
)
MUTATIONS = (*_TASKS_OF_TRIALS, *_LEARNING, *_NETWORKS, *_PLAYING)
