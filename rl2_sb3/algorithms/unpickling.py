"""What a checkpoint would run when it is unpickled, found out without running it.

A pickle is a program: it may call whatever it can import. That of a checkpoint of ours makes data:
arrays, spaces, schedules, and the tuples of a task distribution. One that asks for more is refused,
unless its user says that whoever wrote it is trusted.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import sys
import zipfile
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.buffers import BaseBuffer
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn, optim

PICKLED = ":serialized:"
"""Under this name SB3 keeps what JSON cannot hold."""
KINDS = (spaces.Space, BaseBuffer, BasePolicy, BaseFeaturesExtractor, nn.Module, optim.Optimizer)
"""Classes whose making, in a module that is imported already, does nothing but compute."""
NAMES = {
    *(("builtins", name) for name in ("bytearray", "complex", "frozenset", "set", "slice")),
    *(("collections", name) for name in ("OrderedDict", "deque")),
    *(("numpy", name) for name in ("dtype", "ndarray")),
    *(("stable_baselines3.common.utils", f"{kind}Schedule") for kind in ("Constant", "Float")),
    ("stable_baselines3.common.utils", "LinearSchedule"),
    ("torch", "device"),
    ("torch", "Size"),
}
NUMPY = {
    *("_reconstruct", "scalar", "_frombuffer", "__bit_generator_ctor", "__generator_ctor"),
    *("__randomstate_ctor", "__pyx_unpickle_SeedSequence", "SeedSequence"),
    *("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"),
}
"""By these functions and classes, in whichever of its modules, numpy's arrays and generators are
made."""


class _RefusedError(Exception):
    """The name of what a pickle would call."""


class _Data(pickle.Unpickler):
    """Makes data, and refuses the rest."""

    def find_class(self, module: str, name: str) -> Any:
        """A class or a function that makes nothing but data.

        :raises _RefusedError: another one
        """
        known = (module, name) in NAMES
        of_numpy = module.partition(".")[0] == "numpy" and (
            name in NUMPY or module == "numpy.dtypes"
        )
        if known or of_numpy:
            return super().find_class(module, name)
        found = getattr(sys.modules.get(module), name, None)
        if isinstance(found, type) and (issubclass(found, KINDS) or _is_record(found)):
            return found
        raise _RefusedError(f"{module}.{name}")


def _is_record(kind: type[Any]) -> bool:
    return is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields"))


def check_harmless(checkpoint: Path) -> None:
    """Refuse a checkpoint whose loading would do more than make data.

    :raises ValueError: it would, or it is damaged
    """
    for name, value in attributes(checkpoint).items():
        if not isinstance(value, dict) or PICKLED not in value:
            continue
        try:
            _Data(io.BytesIO(base64.b64decode(value[PICKLED]))).load()
        except _RefusedError as error:
            raise ValueError(
                f"{checkpoint} would run code of its own when it is loaded ({error}, for {name}): "
                "add --trust if you trust whoever wrote it."
            ) from error
        except Exception as error:  # a damaged pickle may raise anything
            raise ValueError(f"{checkpoint} is damaged: {name}: {error}") from error


def attributes(checkpoint: Path) -> dict[str, Any]:
    """A saved model's attributes as its file has them; what is pickled stays so.

    :raises ValueError: not such a file
    """
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            data = json.loads(archive.read("data"))
    except (zipfile.BadZipFile, KeyError, ValueError, binascii.Error) as error:
        raise ValueError(f"{checkpoint} is not a checkpoint, or a damaged one: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{checkpoint} is not a checkpoint: its attributes have no names.")
    return data
