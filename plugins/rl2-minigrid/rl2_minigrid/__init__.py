"""MiniGrid's levels for rl2-sb3.

Trained agents lie beside it: ``rl2_minigrid.minigrid_rooms_n2_privileged`` is the path of a file.
"""

from pathlib import Path


def __getattr__(name: str) -> Path:
    path = Path(__file__).parent / f"{name.replace('_', '-')}.safetensors"
    if name.startswith("_") or not path.is_file():
        raise AttributeError(f"rl2_minigrid has no agent {path.stem!r}.")
    return path
