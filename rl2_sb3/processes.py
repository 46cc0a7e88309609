"""Processes that work for another one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait


def follow_parent() -> None:
    """End this process as soon as the one that began it is gone, however it went.

    A worker that waits for work would wait for ever where its parent was killed. Ctrl-C, which
    reaches a whole group of processes, is the parent's to heed.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="follow parent", daemon=True).start()
