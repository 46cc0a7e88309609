"""Compile a C++ source for this processor, once, into the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import torch as th
from torch.utils import cpp_extension

from rl2_sb3.files import cache_folder

CHECK = "import sys; from rl2_sb3.memories.native.check import check; check(sys.argv[1])"


class NotBuiltError(RuntimeError):
    """The library cannot be had; the first line of the message says why."""


def build(source: Path) -> Path:
    """The shared library made of a source, from the cache where it is there already.

    Processes that ask at once wait for the one that builds. What was compiled is tried in a process
    of its own before it takes its place, so that what crashes there does not end this one.

    :raises NotBuiltError: no compiler, a compiler that fails, a cache that cannot be written, or
        results that are not those of the recurrence in Python
    """
    flags = _flags()
    folder = cache_folder() / "native"
    library = folder / f"{source.stem}-{_key(source, flags)}.so"
    if library.exists():
        return library
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with library.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, however the process ends
            if not library.exists():
                _compile(source, library, flags)
    except OSError as error:
        raise NotBuiltError(f"{error}. Set XDG_CACHE_HOME to a folder to write to.") from error
    return library


def _compile(source: Path, library: Path, flags: list[str]) -> None:
    log = library.with_suffix(".log")
    if log.exists() and os.environ.get("RL2_NATIVE") != "1":
        raise NotBuiltError(f"it could not be built before, see {log}; RL2_NATIVE=1 tries again.")
    compiler = _compiler()
    print(
        "rl2-sb3: building the recurrence for this processor (once, half a minute) ...",
        file=sys.stderr,
        flush=True,
    )
    part = library.with_suffix(f".{os.getpid()}.so")
    try:
        _run(
            [*compiler, *flags, str(source), "-o", str(part), *_links()], log, "the compiler failed"
        )
        _run([sys.executable, "-c", CHECK, str(part)], log, "what was built does not work here")
        part.replace(library)
        log.unlink(missing_ok=True)
    finally:
        part.unlink(missing_ok=True)


def _run(command: list[str], log: Path, failure: str) -> None:
    """Run a command; its output goes into the log where it fails."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},  # the check is a child
        )
    except FileNotFoundError as error:
        raise NotBuiltError(f"there is no C++ compiler {command[0]!r}.") from error
    except OSError as error:
        raise NotBuiltError(
            f"the compiler {command[0]!r} cannot be run: {error.strerror}."
        ) from error
    if done.returncode:
        end = f"\nexit status {done.returncode}\n"
        log.write_bytes(os.fsencode(shlex.join(command) + "\n") + done.stdout + end.encode())
        raise NotBuiltError(f"{failure}, see {log}.")


def _compiler() -> list[str]:
    """The command that ``CXX`` gives, or one of the usual names."""
    told = os.environ.get("CXX", "")
    try:
        command = shlex.split(told)
    except ValueError as error:
        raise NotBuiltError(f"CXX={told!r}: {error}.") from error
    names = [name for name in ("c++", "g++", "clang++") if shutil.which(name)]
    if not command and not names:
        raise NotBuiltError("there is no C++ compiler (c++, g++ or clang++).")
    return command or names[:1]


def _flags() -> list[str]:
    """What the compiler is told: torch's headers, and the vectors that torch itself uses here."""
    capability = th.backends.cpu.get_cpu_capability().split()[0]
    flags = ["-O3", "-std=c++20", "-fPIC", "-shared", "-w", f"-DCPU_CAPABILITY={capability}"]
    if platform.machine() in ("x86_64", "AMD64"):
        if capability != "DEFAULT":
            flags += ["-march=native", f"-DCPU_CAPABILITY_{capability}"]
    else:
        flags.append("-mcpu=native")
    if sys.platform == "darwin":
        flags += ["-undefined", "dynamic_lookup"]
    else:
        flags.append("-fopenmp")
    flags.append(f"-D_GLIBCXX_USE_CXX11_ABI={int(th.compiled_with_cxx11_abi())}")
    return [*flags, *(f"-I{path}" for path in cpp_extension.include_paths())]


def _links() -> list[str]:
    links = []
    for folder in map(Path, cpp_extension.library_paths()):
        # torch's own OpenMP, under whatever name its wheel gives it: a second one would have
        # threads of its own.
        links += [f"-L{folder}", *map(str, folder.glob("libgomp*"))]
    return [*links, "-ltorch_cpu", "-lc10"]


def _key(source: Path, flags: list[str]) -> str:
    """What a library depends on: source, flags, torch and processor."""
    parts = [source.read_text(), *flags, th.__version__, str(th.version.git_version), _processor()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    told = [line for line in lines if line.split(":")[0].strip() in ("flags", "Features")]
    return f"{platform.machine()} {platform.processor()} {told[0] if told else ''}"
