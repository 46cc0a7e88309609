"""Meta-World's benchmarks of meta-learning, for rl2-sb3.

The trained agent lies beside it: ``rl2_metaworld.ml1_reach`` is the path of its file.
"""

from pathlib import Path


def __getattr__(name: str) -> Path:
    path = Path(__file__).parent / f"{name.replace('_', '-')}.safetensors"
    if name.startswith("_") or not path.is_file():
        raise AttributeError(f"rl2_metaworld has no agent {path.stem!r}.")
    return path
