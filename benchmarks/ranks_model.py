"""What many ranks would do, from what one and two did: the assumptions are in docs/ranks.md."""

from __future__ import annotations

import math
from statistics import NormalDist, median
from typing import NamedTuple

from rl2_paper.markdown import markdown_table

from benchmarks.settings import SHARED_256


class Point(NamedTuple):
    """What is timed; columns are those of all ranks together."""

    ranks: int
    columns: int
    minibatch: int


class Measured(NamedTuple):
    """Of a rollout and its update, on the first rank."""

    point: Point
    seconds: float
    calls: float
    """Exchanges."""
    bytes_sent: float
    waiting: float
    """Seconds in exchanges."""
    gradient: float
    """Bytes."""
    small: float
    """Seconds of an all-reduce of one number where no rank is behind."""
    large: float
    """The same of the gradient."""


class Network(NamedTuple):
    """Between machines, with one rank on each."""

    name: str
    latency: float
    """Seconds of a message."""
    bandwidth: float
    """Bytes per second."""


ONE, TWO = Point(1, 500, 125), Point(2, 500, 125)
PARTS = {8: Point(1, 64, 16), 64: Point(1, 8, 2)}
"""Where the trials of one are shared: what a rank of so many has."""
NETWORKS = (
    Network("10 Gbit/s, 50 µs", 50e-6, 1.25e9),
    Network("100 Gbit/s, 5 µs", 5e-6, 12.5e9),
)
MANY = (8, 64, 512)
EXCHANGES = SHARED_256.learning["n_epochs"] * math.ceil(SHARED_256.columns / SHARED_256.minibatch)
"""Gradients of a rollout."""


def middle(found: list[Measured], point: Point) -> Measured:
    """The round of a point whose time is the median."""
    rounds = sorted((each for each in found if each.point == point), key=lambda each: each.seconds)
    return rounds[(len(rounds) - 1) // 2]


def ranks_table(found: list[Measured]) -> str:
    """One rank and two, side by side."""
    rows = []
    steps = SHARED_256.columns * SHARED_256.n_steps
    for point in (ONE, TWO):
        rates = [steps / each.seconds for each in found if each.point == point]
        one = [each for each in found if each.point == ONE]
        own = [each for each in found if each.point == point]
        ratio = median(a.seconds / b.seconds for a, b in zip(one, own, strict=True))
        typical = middle(found, point)
        spread = f"{min(rates):,.0f} – {max(rates):,.0f}".replace(",", " ")
        rows.append(
            [
                str(point.ranks),
                f"{median(rates):,.0f}".replace(",", " "),
                spread,
                f"{ratio:.2f}",
                f"{typical.bytes_sent / 1e6:.1f}",
                f"{typical.calls:.0f}",
                f"{typical.waiting:.2f} of {typical.seconds:.2f}",
            ]
        )
    head = ["ranks", "steps/s", "from – to", "times one's", "MB sent by a rank per rollout"]
    head += ["exchanges per rollout", "seconds of a rollout in exchanges"]
    return markdown_table(head, rows)


def expected_greatest(n: int) -> float:
    """Of n standard normal numbers (Blom 1958)."""
    return NormalDist().inv_cdf((n - 0.375) / (n + 0.25))


def rollout_seconds(found: list[Measured], n: int, network: Network, computing: float) -> float:
    """Seconds of a rollout and its update on n ranks.

    :param computing: seconds that one rank alone takes for its part
    """
    two = middle(found, TWO)
    imbalance = max(0.0, two.waiting - transfer_seconds(two))
    slowest = imbalance / expected_greatest(2) * expected_greatest(n)
    latency = 2 * math.ceil(math.log2(n)) * network.latency * two.calls
    volume = 2 * (n - 1) / n * two.gradient * EXCHANGES / network.bandwidth
    return float(computing + slowest + latency + volume)


def transfer_seconds(two: Measured) -> float:
    """Of two ranks' waiting, what no balance would spare."""
    return float(EXCHANGES * two.large + (two.calls - EXCHANGES) * two.small)


def model_table(found: list[Measured]) -> str:
    """Steps per second of many ranks, and the share of so many times one's."""
    one = middle(found, ONE)
    steps = SHARED_256.columns * SHARED_256.n_steps
    alone = steps / one.seconds
    rows = []
    for n in MANY:
        row = [str(n)]
        for network in NETWORKS:
            rates = {"more": n * steps / rollout_seconds(found, n, network, one.seconds)}
            if n in PARTS:
                part = middle(found, PARTS[n])
                # Its columns are not exactly the n-th part.
                computing = part.seconds * SHARED_256.columns / (n * part.point.columns)
                rates["shared"] = steps / rollout_seconds(found, n, network, computing)
            for kind in ("more", "shared"):
                rate = rates.get(kind)
                row.append("–" if rate is None else f"{_round(rate)} ({rate / (n * alone):.0%})")
        rows.append(row)
    kinds = ("500 trials a rank", "500 trials in all")
    head = ["ranks", *(f"{kind}, {network.name}" for network in NETWORKS for kind in kinds)]
    return markdown_table(head, rows)


def _round(rate: float) -> str:
    digits = 2 - math.floor(math.log10(rate))
    return f"{round(rate, digits):,.0f}".replace(",", " ")
