"""The table's rows: what is compared with what, and the rates that the rounds gave."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from benchmarks.limit import limit


class Case(NamedTuple):
    """What a process times."""

    workload: str
    precision: str
    version: str = "present"
    """Or ``reference``."""
    threads: int | None = None
    """``None`` for the number that all others have."""


class Row(NamedTuple):
    """A line of the table of ratios."""

    name: str
    words: str
    case: Case
    against: Case
    wanted: float | None = None
    aim: float | None = None
    figure: str = "both"
    unit: str = "times"
    """Of wanted and aim: ``times`` the other, or ``steps/s``."""


class Figure(NamedTuple):
    """A median over rounds, with the least and the greatest."""

    value: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure | None:
        """``None`` where there are no values."""
        return cls(median(values), min(values), max(values)) if values else None


A, B = Case("shared-256", "fp32"), Case("shared-256", "bf16")
C, D = Case("recurrent-ppo", "fp32"), Case("recurrent-ppo-defaults", "fp32")
COLLECTING = Case("collecting", "bf16")
NAMES = {
    A: "(a) `RL2PPO`",
    B: "(b) `RL2PPO`",
    C: "(c) sb3-contrib `RecurrentPPO`, same sizes",
    D: "(d) sb3-contrib `RecurrentPPO`, its defaults (8 environments)",
    COLLECTING: "`RL2PPO`, 2500 trials",
}
"""The cases of the table of collecting and training."""
LIMIT_WANTED, LIMIT_AIM = 0.18, 0.30
"""Shares of the arithmetic limit that (b) is to reach."""
SELDOM = {"trpo": 3, "recurrent-ppo-defaults": 3}
"""Workloads whose rounds are long: of so many rounds they take one."""
FAMILIES = (
    ("shared-256", "recurrent-ppo", "recurrent-ppo-defaults", "collecting"),
    *(("demo",), ("imitation",), ("mdp-stage-1",), ("mdp",), ("maze",), ("trpo",)),
)
"""Workloads that take turns; the others wait for their own, and for the memory."""


def before(case: Case) -> Case:
    """The same with the reference's code."""
    return case._replace(version="reference")


def _pair(
    workload: str, words: str, precisions: Sequence[str], wanted: float, aim: float
) -> list[Row]:
    """Rows of a workload in several precisions, against the reference in the first of them."""
    cases = [Case(workload, precision) for precision in precisions]
    return [Row(workload, words, case, before(cases[0]), wanted, aim) for case in cases]


BOTH = "fp32", "bf16"
IMITATE = "`rl2 imitate`, k=50, n=500, 128 units"
ROWS: list[Row] = [
    Row("a", "(a) `RL2PPO` to (c) `RecurrentPPO`, same sizes", A, C, 3, 4),
    Row("b", "(b) `RL2PPO` to (c) `RecurrentPPO`, same sizes", B, C, 8, 12),
    Row("a", "(a) `RL2PPO`", A, before(A)),
    Row("b", "(b) `RL2PPO`", B, before(B)),
    Row(
        "collecting",
        "collecting, 2500 trials, 256 units",
        COLLECTING,
        before(COLLECTING),
        *(300e3, 500e3, "collecting", "steps/s"),
    ),
    *_pair("demo", "`make demo`'s training", BOTH, 3.5, 5),
    *_pair("mdp-stage-1", "MDPs, 10 episodes, first stage, 500 trials", BOTH, 4, 8),
    *_pair("mdp", "MDPs, 10 episodes, 1000 trials", BOTH, 4, 8),
    *_pair("trpo", "`RL2TRPO`, first-order, 250 000 steps a rollout, 256 units", BOTH, 4, 8),
    *(
        row._replace(words=words, figure=figure)
        for words, figure in (
            (f"{IMITATE}, learning alone", "training"),
            (f"{IMITATE}, with the teacher's play", "both"),
        )
        for row in _pair("imitation", "", BOTH, 4, 8)
    ),
    *_pair("maze", "mazes drawn by rays, training", ["bf16"], 2, 4),
    *(
        Row(
            "threads",
            f"two threads to one, {words}, 256 units",
            case._replace(threads=2),
            case._replace(threads=1),
            *(1.6, 1.9),
        )
        for words, case in (("(a)", A), ("(b)", B))
    ),
]
PHASES, LIMIT, PARTS, MEMORY = "phases", "limit", "parts", "memory"
CHOICES = [*dict.fromkeys(row.name for row in ROWS), PHASES, LIMIT, PARTS, MEMORY]
"""Names for ``--only``."""


def cases_for(names: Sequence[str]) -> list[Case]:
    """What is to be timed for the rows of these names, in the order of families."""
    cases = [case for row in ROWS if row.name in names for case in (row.case, row.against)]
    if PHASES in names:
        cases += NAMES
    if LIMIT in names:
        cases.append(B)
    workloads = [workload for family in FAMILIES for workload in family]
    return sorted(dict.fromkeys(cases), key=lambda case: workloads.index(case.workload))


class Rounds:
    """What the rounds took.

    :param threads: of the cases that do not say it
    """

    def __init__(self, threads: int):
        self.threads = threads
        self.seconds: dict[Case, list[dict[str, float]]] = {}
        self.flops: dict[str, list[float]] = {"fp32": [], "bf16": []}
        self.parts: list[dict[str, float]] = []
        self.memory: dict[str, float] = {}
        """GiB, by precision."""

    def of(self, case: Case) -> list[dict[str, float]]:
        """Steps and seconds of a case's rounds."""
        threads = case.threads or self.threads
        return self.seconds.setdefault(case._replace(threads=threads), [])

    def rates(self, case: Case, figure: str) -> list[float]:
        """Steps per second of each round; none where it was not timed."""
        return [each["steps"] / each[figure] for each in self.of(case) if each[figure] > 1e-3]

    def speed(self, case: Case, figure: str = "both") -> Figure | None:
        """Steps per second."""
        return Figure.of(self.rates(case, figure))

    def ratio(self, case: Case, against: Case, figure: str = "both") -> Figure | None:
        """Of the rates in the same round: what troubles a round troubles both."""
        pairs = zip(self.rates(case, figure), self.rates(against, figure), strict=False)
        return Figure.of([one / other for one, other in pairs])

    def limit(self, precision: str) -> float | None:
        """Steps per second that arithmetic would allow; ``None`` where no product was timed."""
        # A CPU without bf16 arithmetic multiplies the rounded factors in fp32.
        flops = self.flops["fp32"] + (self.flops["bf16"] if precision == "bf16" else [])
        return limit(max(flops)) if flops else None

    def share(self, case: Case) -> Figure | None:
        """Of the arithmetic limit."""
        most = self.limit(case.precision)
        rates = self.rates(case, "both") if most is not None else []
        return Figure.of([rate / most for rate in rates if most])

    def percent(self) -> dict[str, Figure]:
        """Where the time of the rounds together goes, in per cent of it."""
        shares = {}
        whole = [sum(each.values()) for each in self.parts]
        for part in self.parts[0] if self.parts else ():
            seconds = [each[part] for each in self.parts]
            each = [100 * one / all_ for one, all_ in zip(seconds, whole, strict=True)]
            shares[part] = Figure(100 * sum(seconds) / sum(whole), min(each), max(each))
        return shares
