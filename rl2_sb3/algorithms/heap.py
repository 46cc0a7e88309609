"""Large tensors whose memory is used again, where the C library lets us ask for it."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # of mallopt, see malloc.h
# What glibc's own rule comes to in a process that has freed large tensors; mallopt ends that rule.
USUAL = {TRIM_THRESHOLD: 64 * 2**20, MMAP_THRESHOLD: 32 * 2**20, MMAP_MAX: 65_536}
REUSE = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}


@contextmanager
def reused_memory() -> Iterator[None]:
    """A context in which freed memory is kept for the next tensor, and given back at its end.

    Otherwise glibc takes every large tensor from the system anew, and learning pays for each page
    that it touches first, some 2 µs for 4 KiB. No effect with another C library.
    """
    library = _glibc()
    _set(library, REUSE)
    try:
        yield
    finally:
        _set(library, USUAL)
        if library is not None:
            library.malloc_trim(0)


def _set(library: ctypes.CDLL | None, options: dict[int, int]) -> None:
    if library is not None:
        for option, value in options.items():
            library.mallopt(option, value)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    ours = all(hasattr(library, name) for name in ("gnu_get_libc_version", "mallopt"))
    return library if ours else None
