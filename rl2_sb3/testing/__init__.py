"""The contracts as tests that plugin authors run: check_tasks and check_memory."""

from rl2_sb3.testing.memories import check_memory
from rl2_sb3.testing.tasks import check_tasks

__all__ = ["check_memory", "check_tasks"]
