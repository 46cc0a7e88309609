"""A plugin from outside: its own distribution, installed into an environment of its own."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1] / "plugins" / "rl2-gaussian"

USE = """\
import sys

from rl2_sb3 import RL2TRPO, check_tasks, make_trials
from rl2_sb3.registry import TASKS

assert "gaussian-bandit" in TASKS.names()
assert "bandit" in TASKS.names()
assert TASKS.distribution("gaussian-bandit") == "rl2-gaussian 1.0"
assert "rl2_gaussian" not in sys.modules
check_tasks(TASKS.load("gaussian-bandit")(noise=0.5))

trials = make_trials("gaussian-bandit", 8, episodes=4, seed=0, arms=3)
RL2TRPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 8}, seed=0).learn(2 * 8 * 4)

model = RL2TRPO("GRUPolicy", "gaussian-bandit", policy_kwargs={"hidden_size": 8}, device="cpu")
model.learn(2 * model.n_steps * model.n_envs)
assert model.num_timesteps == 2 * 500 * 2
print("trained")
"""


def test_plugin_from_outside(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    pytest.importorskip("pip")
    plugin, environment = tmp_path / "plugin", tmp_path / "venv"
    shutil.copytree(PLUGIN, plugin)

    venv.create(environment, with_pip=False, symlinks=os.name != "nt")
    (python,) = environment.glob("bin/python" if os.name != "nt" else "Scripts/python.exe")
    (packages,) = environment.glob("**/site-packages")
    # What is installed here is seen there, this package's editable installation included.
    here = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    lines = [f"import site; site.addsitedir({path!r})\n" for path in here]
    (packages / "here.pth").write_text("".join(lines))

    def run(*command: str) -> str:
        settings = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = subprocess.run(
            command, env=os.environ | settings, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", str(plugin)]
    run(sys.executable, "-m", "pip", "--python", str(python), *install)
    assert list(packages.glob("rl2_gaussian-1.0.dist-info"))
    assert run(str(python), "-c", USE).endswith("trained\n")
    train = "train gaussian-bandit --arms 3 --steps 64 --n-envs 8 --episodes 4 --hidden-size 4"
    run(str(python), "-m", "rl2_sb3", *train.split(), "--no-progress", "--out", "run")
    evaluate = "evaluate run --against random --trials 20"
    run(str(python), "-m", "rl2_sb3", *evaluate.split())
