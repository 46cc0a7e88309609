"""Workers end with the process that they work for, however it went."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ENVIRONMENTS = """
from rl2_sb3 import make_trials
trials = make_trials("CartPole-v1", 2, episodes=2, workers="subprocess")
trials.reset()
print(*(process.pid for process in trials.processes), flush=True)
"""
SWEEP = """
import os, time
from rl2_sb3.sweeps import Workers
pool = Workers(2).__enter__()
asked = [pool.submit(time.sleep, 0.1) for _ in range(4)]
[each.result() for each in asked]
print(*pool.pool._processes, flush=True)
"""


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("script", [ENVIRONMENTS, SWEEP], ids=["environments", "sweep"])
def test_workers_end_with_their_parent(script: str, tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    body = "".join(f"    {line}\n" for line in script.strip().splitlines())
    file.write_text(
        f'if __name__ == "__main__":\n{body}    import os, signal\n    os.kill(os.getpid(), 9)\n'
    )
    done = subprocess.run(
        [sys.executable, str(file)], stdout=subprocess.PIPE, text=True, check=False, timeout=120
    )
    workers = list(map(int, done.stdout.split()))
    assert done.returncode == -9
    assert len(workers) == 2
    end = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < end:
        os.sched_yield()
    assert not any(map(alive, workers))
