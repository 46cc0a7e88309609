"""Trained agents for rl2-sb3: ``rl2_checkpoints.bandit_k10_n10`` is the path of one's file."""

from pathlib import Path


def __getattr__(name: str) -> Path:
    path = Path(__file__).parent / f"{name.replace('_', '-')}.safetensors"
    if name.startswith("_") or not path.is_file():
        raise AttributeError(f"rl2_checkpoints has no agent {path.stem!r}.")
    return path
