"""300 malformed inputs, always the same: ``python -m tests.malformed [--all] [KIND ...]``.

Each must be refused at once in words: by ``SystemExit`` with a message on the command line, by a
``ValueError`` or ``RuntimeError`` in Python. Reported are tracebacks that are no user's own, inputs
that take longer than half a minute, and nonsense that is accepted. No part of ``make test``.
"""

from __future__ import annotations

import contextlib
import io
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

SEED, SECONDS, ALL = 17, 30, "--all"
CATEGORIES = {
    "options": 90,
    "sweeps": 60,
    "agents": 60,
    "checkpoints": 30,
    "configs": 30,
    "environments": 20,
    "plugins": 10,
}
"""How many inputs of each kind; 300 in all."""


class Case(NamedTuple):
    """An input, and what takes it."""

    name: str
    run: Callable[[], Any]
    may_pass: bool = False
    """Whether it may be accepted: a damage that leaves something whole; ``run`` looks at it."""


class UserError(Exception):
    """What a user's own code raises: its traceback is theirs."""


class TooLongError(BaseException):
    """Of an input that hangs."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise TooLongError


def attempt(case: Case) -> str:
    """``refused``, ``accepted``, or what is wrong."""
    said = io.StringIO()
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            case.run()
    except TooLongError:
        return "HANG"
    except UserError:
        return "refused"
    except SystemExit as error:
        if error.code in (None, 0):
            return "accepted" if case.may_pass else "NONSENSE: it ends with status 0"
        words = f"{error.code}{said.getvalue()}"
        return "refused" if len(words) > 10 else f"NO WORDS: {words!r}"
    except (ValueError, RuntimeError) as error:
        return "refused" if len(str(error)) > 10 else f"NO WORDS: {error!r}"
    except BaseException:
        return f"TRACEBACK:\n{traceback.format_exc(limit=-6)}"
    finally:
        signal.alarm(0)
    return "accepted" if case.may_pass else "NONSENSE: it is accepted"


def cases(folder: Path, names: list[str]) -> Iterator[tuple[str, Case]]:
    """The inputs, or those of some kinds; with ``--all`` those that are not drawn, too."""
    from tests import malformed_files, malformed_inputs

    makers: dict[str, Callable[[random.Random, Path], list[Case]]] = {
        "options": malformed_inputs.options,
        "sweeps": malformed_files.sweeps,
        "agents": malformed_files.agents,
        "checkpoints": malformed_files.checkpoints,
        "configs": malformed_inputs.configs,
        "environments": malformed_inputs.environments,
        "plugins": malformed_inputs.plugins,
    }
    for kind, make in makers.items():
        if set(names) - {ALL} and kind not in names:
            continue
        rng, place = random.Random(f"{SEED} {kind}"), folder / kind
        place.mkdir()
        found = make(rng, place)
        if len(found) < CATEGORIES[kind]:
            raise ValueError(f"{kind}: {len(found)} inputs, not {CATEGORIES[kind]}.")
        chosen = found if ALL in names else rng.sample(found, CATEGORIES[kind])
        yield from ((kind, case) for case in chosen)


def main(names: list[str]) -> int:
    """Try them and report."""
    if set(names) - {ALL, *CATEGORIES}:
        print(f"{__doc__}\nKinds: {', '.join(CATEGORIES)}. {ALL} tries what is not drawn, too.")
        return int(names != ["--help"])
    counts: Counter[tuple[str, str]] = Counter()
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as folder:
        for kind, case in cases(Path(folder), names):
            begin = time.monotonic()
            result = attempt(case)
            slowest = max(slowest, (time.monotonic() - begin, case.name))
            word = result.partition(":")[0]
            counts[kind, word] += 1
            if word not in ("refused", "accepted"):
                print(f"{kind}, {case.name}\n  {result}", flush=True)
    for (kind, word), n in sorted(counts.items()):
        print(f"{kind:13} {word:10} {n}")
    bad = sum(n for (_, word), n in counts.items() if word not in ("refused", "accepted"))
    print(
        f"{sum(counts.values())} inputs, {bad} bad; the slowest: {slowest[1]}, {slowest[0]:.1f} s"
    )
    return int(bad > 0)


if __name__ == "__main__":
    from tests import malformed  # the module, whose errors the others raise

    sys.exit(malformed.main(sys.argv[1:]))
