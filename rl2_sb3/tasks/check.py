"""check_tasks: the contract of a task distribution, as a test for plugin authors."""

from __future__ import annotations
def check_tasks(): ...
