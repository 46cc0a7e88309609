"""Agents by what a user calls them, trained ones and baselines alike, and what they play."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import VecTransposeImage

from rl2_sb3.agent import Agent, load_agent
from rl2_sb3.agent_file import agent_file
from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.registry import AGENTS, BASELINES, HOW_TO_INSTALL, did_you_mean, named_values
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.trials.make import make_tasks
from rl2_sb3.trials.play import Predictor
from rl2_sb3.trials.spaces import trial_space


class Entry(NamedTuple):
    """An agent that plays."""

    agent: Predictor
    info: Mapping[str, Any] | None = None
    """Description of the training, of a trained agent; ``None`` for a baseline."""
    exact: float | None = None
    """Expected return of a trial, for agents that know it."""


class Trials(NamedTuple):
    """What is played."""

    task: str
    options: dict[str, Any]
    episodes: int
    tasks: Any


def is_baseline(spec: str) -> bool:
    """Whether a name, perhaps with parameters, is a baseline's; a folder of its name is ./NAME."""
    return "(" in spec or spec.strip() in BASELINES


def load_trained(specs: Sequence[str], device: str) -> dict[str, Agent]:
    """Load the trained ones of the agents.

    :raises ValueError: a name that is neither theirs nor a baseline's
    """
    return {spec: _load(spec, device) for spec in specs if not is_baseline(spec)}


def _load(spec: str, device: str) -> Agent:
    if Path(spec).exists() or Path(spec).suffix or len(Path(spec).parts) > 1 or spec in AGENTS:
        return load_agent(spec, device)
    baselines, installed = BASELINES.names(), AGENTS.names()
    hint = did_you_mean(spec, [*baselines, *installed])
    raise ValueError(
        f"No agent {spec!r}.{hint} It is a run's folder, an agent's file, a baseline "
        f"({', '.join(baselines)}), or an installed agent, which `rl2 agents` lists; in a "
        f"checkout, `{HOW_TO_INSTALL}` adds some."
    )


def trials_of(
    trained: Mapping[str, Agent], task: str | None, changed: Sequence[str], episodes: int | None
) -> Trials:
    """What agents play: what the first trained one was trained for, or what is asked for.

    :param task: by default the first trained agent's
    :param changed: options of the task, see :func:`evaluation_tasks`
    :param episodes: per trial, by default as many as the first trained agent's
    :raises ValueError: nothing of the kind is given, an unknown task or a wrong option
    """
    info: dict[str, Any] = {"task": task, "options": {}, "episodes": episodes}
    if trained:
        spec, agent = next(iter(trained.items()))
        info |= agent.info if task is not None and episodes else trained_on(agent, spec)
    if task is not None and info["task"] != task:
        info |= {"task": task, "options": {}}
    if info["task"] is None or (episodes or info["episodes"]) is None:
        raise ValueError(
            "Baselines alone play any task: name it, as in --task bandit --episodes 10."
        )
    if not info["options"]:
        info["options"] = _default_options(info["task"])
    episodes = info["episodes"] if episodes is None else episodes
    if episodes < 1:
        raise ValueError(f"episodes={episodes}: at least one.")
    tasks, options = evaluation_tasks(info, changed)
    return Trials(info["task"], options, episodes, tasks)


def trained_on(agent: Agent, name: str) -> dict[str, Any]:
    """What an agent's file says of its training: task, options and episodes among it.

    :param name: of the agent, for the message
    :raises ValueError: it does not say these
    """
    info = {"task": None, "options": {}, "episodes": None, **agent.info}
    if info["task"] is None or info["episodes"] is None:
        raise ValueError(
            f"{name} does not say what it was trained on: save it with "
            'model.save_agent(path, task="bandit", options={"arms": 5}).'
        )
    return info


def played_folder(agent: str) -> Path:
    """Where to write what an agent does: its run's folder; for an installed one, not beside it.

    Nor where a run of the same name trains.
    """
    there = Path(agent).exists()
    return agent_file(agent).parent if there else Path("runs", "agents", agent)


def evaluation_tasks(info: dict[str, Any], changed: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """What a trained agent is evaluated on.

    :param info: from :func:`trained_on`
    :param changed: options of the task, such as "size=large", in place of those of training and of
        what the distribution holds out for evaluation
    :return: the tasks, and their options
    :raises ValueError: an unknown, malformed or wrong option
    """
    options = dict(info["options"])
    tasks = make_tasks(info["task"], **options)
    if isinstance(tasks, (BatchedTasks, GymTasks)):
        tasks = tasks.held_out()
        options = {key: getattr(tasks, key, value) for key, value in options.items()}
    if not changed:
        return tasks, options
    try:
        options |= named_values(changed)
    except ValueError as error:
        raise ValueError(f"--options {error}") from error
    try:
        return make_tasks(info["task"], **options), options
    except TypeError as error:
        raise ValueError(f"--options {' '.join(changed)}: {error}") from error


def _default_options(task: str) -> dict[str, Any]:
    tasks = make_tasks(task)
    if not isinstance(tasks, (BatchedTasks, GymTasks)):
        return {}
    kept = vars(tasks)
    return {name: kept[name] for name in inspect.signature(type(tasks)).parameters if name in kept}


def entries(
    specs: Mapping[str, str], trained: Mapping[str, Agent], trials: Trials
) -> dict[str, Entry]:
    """The agents, ready to play.

    :param specs: the agents by what tables call them
    :raises ValueError: one that cannot see or act in the tasks, or a wrong baseline
    """
    found = {}
    for name, spec in specs.items():
        if spec in trained:
            check_spaces(trained[spec], trials, spec)
            found[name] = Entry(trained[spec], trained[spec].info)
        else:
            baseline = make_baseline(spec, trials.tasks, trials.episodes)
            found[name] = Entry(baseline, None, baseline.expected_return())
    return found


def check_spaces(agent: Agent, trials: Trials, name: str) -> None:
    """Raise a ValueError where an agent cannot see or act in the tasks."""
    known: Any = agent.policy.observation_space
    for key, part in _space(trials.tasks).items():
        seen: Any = part
        if is_image_space(part) and not is_image_space_channels_first(seen):
            seen = VecTransposeImage.transpose_space(seen, key)  # as SB3 does for training
        if known.spaces.get(key) != seen:
            options = " ".join(f"{key}={value}" for key, value in trials.options.items())
            raise ValueError(
                f"{trials.task} {options}: {name} was trained with the {key} "
                f"{known.spaces.get(key)}, not {seen}."
            )


def _space(tasks: Any) -> spaces.Dict:
    if isinstance(tasks, BatchedTasks):
        return trial_space(tasks.observation_space, tasks.action_space)
    env: gym.Env[Any, Any] = tasks.make_env() if isinstance(tasks, GymTasks) else tasks()
    try:
        return trial_space(env.observation_space, env.action_space)
    finally:
        env.close()
