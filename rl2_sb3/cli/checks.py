"""What the commands check before they begin."""

from __future__ import annotations

from typing import Any

import torch as th

from rl2_sb3.agent_file import policy_class
from rl2_sb3.policies.options import check_memories
from rl2_sb3.runs.folder import check_free
from rl2_sb3.trials.make import make_tasks


def check_device(device: str) -> None:
    """Refuse CUDA where there is none; SB3 would take the CPU without a word.

    :raises ValueError: there is none
    """
    if device.partition(":")[0] == "cuda" and not th.cuda.is_available():
        raise ValueError(f"CUDA is not available to torch {th.__version__}: --device cpu, or auto.")


def check_run(config: Any, options: dict[str, Any]) -> None:
    """See that a run can begin: what it is first, then its folder.

    :param config: of the command
    :param options: of the task distribution
    :raises ValueError: an unknown device, task, policy or memory, or a folder that is not free
    """
    check_device(config.device)
    make_tasks(config.task, **options)
    policy_class(config.policy)
    check_memories(config.network)
    check_free(config.folder.out, config.folder.resume, config.folder.overwrite)
