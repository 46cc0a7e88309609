import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch as th

from rl2_sb3.algorithms import threads
from rl2_sb3.memories import native

# Small tensors gain nothing from threads, and lose much where other programs keep the cores busy.
th.set_num_threads(1)
threads.MOST = 1
native.load()  # a first build tells of itself: before a test looks at what was printed


@pytest.fixture
def forget() -> Iterator[Callable[[str], None]]:
    """Let a module be imported anew, and take it away after the test: another may have its name."""
    before = {}

    def forget(name: str) -> None:
        before[name] = sys.modules.pop(name, None)

    yield forget
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.fixture
def library() -> Path:
    """The native recurrence; a test that needs it is skipped where it was not to be had."""
    found, why = native.load()
    if found is None:
        if why != "RL2_NATIVE=0" and "no C++ compiler" not in why:
            pytest.fail(f"The recurrence was not built: {why}")
        pytest.skip(f"needs the native recurrence: {why}")
    return found


@pytest.fixture(params=["native", "python"])
def recurrence(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with the recurrence in C++, and again with the one in Python."""
    if request.param == "native":
        request.getfixturevalue("library")
    else:
        monkeypatch.setattr(native, "load", lambda: (None, "RL2_NATIVE=0"))
    return str(request.param)
