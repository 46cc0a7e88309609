"""What an agent that is to be played was trained on, and where it plays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl2_sb3.agent import Agent
from rl2_sb3.agent_file import agent_file
from rl2_sb3.registry import named_values
from rl2_sb3.tasks.base import BatchedTasks, GymTasks
from rl2_sb3.trials.make import make_tasks


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
    return agent_file(agent).parent if there else Path("runs", "checkpoints", agent)


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
