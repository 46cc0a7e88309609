"""The arithmetic limit: what the fastest matrix product of the recurrence's shape would allow."""

from __future__ import annotations

from collections.abc import Callable

import torch as th

from benchmarks.settings import SHARED_256

UNITS: int = SHARED_256.network["hidden_size"]
DTYPES = {"fp32": th.float32, "bf16": th.bfloat16}


def peak_flops(precision: str, device: str, now: Callable[[], float]) -> float:
    """Operations per second of the fastest matrix product, of a minibatch's rows and of more.

    :param now: tells the seconds
    """
    best, dtype = 0.0, DTYPES[precision]
    for rows in (SHARED_256.minibatch, SHARED_256.columns, 5 * SHARED_256.columns):
        left = th.randn(rows, UNITS, device=device, dtype=dtype)
        right = th.randn(UNITS, 3 * UNITS, device=device, dtype=dtype)
        for _ in range(5):
            begin = now()
            for _ in range(10):
                left @ right
            if device == "cuda":
                th.cuda.synchronize()
            seconds = (now() - begin) / 10
            best = max(best, 2 * rows * UNITS * 3 * UNITS / seconds)
    return best


def limit(peak: float) -> float:
    """Steps per second that arithmetic alone would allow, collecting and training.

    3 * 256 * (256 + inputs) multiplications and additions forward, twice that backward.
    """
    inputs: int = SHARED_256.options["arms"] + 3  # the action; observation, reward and flag
    forward = 2 * 3 * UNITS * (UNITS + inputs)
    epochs: int = SHARED_256.learning["n_epochs"]
    return peak / (forward + epochs * 3 * forward)
