"""Try the built distributions: ``make dist`` builds them, and runs this where only they are.

It takes the environment's Python as it is, in a folder of its own outside the repository, and does
what a new user would: train, evaluate, load agents, find plugins, look at what a plugin brings.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

COMMANDS = (
    "--version",
    "info",
    "tasks",
    "agents",
    "tasks gaussian-bandit",
    "train bandit --steps 20000 --out runs/new --no-progress",
    "evaluate runs/new --trials 200 --against random",
    "evaluate bandit-k10-n10 --trials 200 --against bayes-optimum",
    "train --preset bandit-k10-n10 --steps 20000 --out runs/preset --no-progress",
)
CODE = """
from pathlib import Path
import rl2_sb3
from rl2_sb3 import load_agent
from rl2_sb3.memories import native
where = Path(rl2_sb3.__file__)
assert "site-packages" in where.parts, where
assert (where.parent / "py.typed").exists()
assert list((where.parent / "memories" / "native").glob("*.cpp")), "no source of the recurrence"
agent = load_agent("bandit-k10-n10")
agent.reset()
assert 0 <= agent.act(0) < 10
"""


def main() -> None:
    """Run each command, and stop at the first that fails."""
    rl2 = Path(sys.executable).with_name("rl2")
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            print(f"$ rl2 {command}", flush=True)
            subprocess.run([rl2, *command.split()], cwd=folder, check=True)
        subprocess.run([sys.executable, "-c", CODE], cwd=folder, check=True)
    for name in ("rl2-sb3", "rl2-paper", "rl2-checkpoints", "rl2-gaussian"):
        print(name, distribution(name).version)


if __name__ == "__main__":
    main()
