"""Whether two versions of rl2_sb3 train the same agents, bit for bit.

A run of each kind, small, with the same seed and every option stated, by the present code and by an
earlier commit, each in a process of its own; the weights of what they train are compared.

    python -m benchmarks.identical --against dec8e27
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro
from safetensors.numpy import load_file

from benchmarks.reference import ROOT, cache_folder, install, resolve

COMMON = "--seed 3 --threads 1 --device cpu --no-progress --gamma 0.99 --hidden-size 48"
TRAIN = (
    "--policy GRUPolicy --candidate tanh --value-network gru --precision fp32 --layers-after 32 "
    "--action-reward --learning-rate 2e-3 --lr-decay --gae-lambda 0.8 --value-lambda 1 "
    "--clip-range 0.2 --n-epochs 3 --n-envs 64 --trials-per-batch 16 --ent-coef 0.01 --ent-decay"
)
BANDIT = f"train bandit --arms 5 --episodes 12 --steps 6000 {COMMON} {TRAIN}"
MDP = "tabular-mdp --episodes 3 --state-action --skip --memory-steps 30"
CASES = {
    "ppo": BANDIT,
    "ppo, early stop": f"{BANDIT} --target-kl 0.002",
    "trpo, first-order": f"{BANDIT} --algorithm trpo --target-kl 0.01",
    "ppo, the paper's network": f"{BANDIT} --candidate relu --weight-norm --no-action-reward",
    "ppo, one network, resets": f"{BANDIT} --shared --episode-units 16",
    "ppo, bf16": f"{BANDIT} --precision bf16",
    "after imitation": f"{BANDIT} --init imitation",
    "mdp, privileged": f"train {MDP} --steps 8000 --privileged {COMMON} {TRAIN} "
    "--value-network sums --prediction-coef 0.5",
    "images": f"train raycast-maze --size small --episodes 2 --steps 1024 --n-steps 64 {COMMON} "
    f"{TRAIN} --policy CnnGRUPolicy --shared --n-envs 8 --trials-per-batch 4",
    "imitation": f"imitate bandit --arms 5 --episodes 12 --teacher thompson --batches 40 {COMMON} "
    "--trials-per-batch 16 --n-envs 32 --policy GRUPolicy --candidate tanh --value-network gru "
    "--precision fp32 --layers-after 32 --action-reward --learning-rate 2e-3 --student-share 0.25",
    "imitation, costs": f"imitate {MDP} --teacher beb --batches 12 {COMMON} --trials-per-batch 8 "
    "--policy GRUPolicy --candidate tanh --value-network sums --precision fp32 --layers-after 32 "
    "--action-reward --learning-rate 2e-3 --cost-weight 0.5",
}
"""Commands of ``rl2``, whose ``--out`` is the case's name."""
CONJUGATE_GRADIENT = """
from rl2_sb3 import RL2TRPO, make_trials
model = RL2TRPO(
    "GRUPolicy", make_trials("bandit", 32, 10, arms=5), learning_rate=1e-3, gamma=0.99,
    gae_lambda=0.9, target_kl=0.01, step="conjugate-gradient", seed=3, device="cpu", threads=1,
    ent_coef=0.0,
    policy_kwargs={"hidden_size": 32, "features_extractor_kwargs": {"action_reward": False}},
)
model.learn(2000)
model.save_agent("trpo, natural step/agent.safetensors")
"""
CONTINUOUS = """
from rl2_sb3 import RL2PPO
model = RL2PPO(
    "GRUPolicy", "Pendulum-v1", episodes=2, learning_rate=1e-3, gamma=0.95, gae_lambda=0.9,
    n_steps=400, clip_range=0.2, ent_coef=0.0, n_epochs=3, seed=3, device="cpu", threads=1,
    policy_kwargs={"hidden_size": 32, "features_extractor_kwargs": {"action_reward": False}},
)
model.learn(4000)
model.save_agent("continuous/agent.safetensors")
"""
SCRIPTS = {"trpo, natural step": CONJUGATE_GRADIENT, "continuous": CONTINUOUS}


@dataclass(kw_only=True)
class Identical:
    """Train an agent of each kind twice, and compare."""

    against: str = "HEAD"
    """The earlier commit."""


def fingerprint(file: Path) -> str:
    """Of an agent's weights, whatever their names and whatever else its file says.

    :param file: ``agent.safetensors``
    """
    arrays = load_file(file).values()
    parts = sorted(hashlib.sha256(array.tobytes()).hexdigest() for array in arrays)
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]


def train_all(code: Path, out: Path) -> dict[str, str]:
    """Train an agent of each kind with the code in a folder, and tell their fingerprints."""
    path = os.pathsep.join([str(code), str(ROOT / "plugins/rl2-vizdoom")])
    environment = os.environ | {"PYTHONPATH": path}
    commands = {name: ["-c", script] for name, script in SCRIPTS.items()}
    # Imitation comes first: another goes on from it.
    for name, line in sorted(CASES.items(), key=lambda case: "imitate" not in case[1]):
        commands[name] = ["-m", "rl2_sb3", *line.split(), "--out", name]
    for name, command in commands.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, *command], cwd=out, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{name} of {code}: {done.stderr.strip()}")
    return {name: fingerprint(out / name / "agent.safetensors") for name in commands}


def main(config: Identical) -> None:
    """Train with both, and print what each gave.

    :raises SystemExit: some agents differ
    """
    commit = resolve(config.against)
    if commit is None:
        sys.exit(f"--against {config.against}: the history has no such commit.")
    with tempfile.TemporaryDirectory() as folder:
        before = train_all(install(commit, cache_folder()), Path(folder, "before"))
        now = train_all(ROOT, Path(folder, "now"))
    for name, there in before.items():
        same = "the same" if there == now[name] else "DIFFERENT"
        print(f"{name:28} {there} at {commit[:7]}, {now[name]} now: {same}")
    if before != now:
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(Identical, description=__doc__))
