"""The paper's tables as definitions: their settings, and who plays in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from rl2_sb3.runs.signals import Training

Group = Literal["baseline", "paper's prior", "true prior", "exact"] | Training
TRAINED: tuple[Training, ...] = get_args(Training)

EXACT_PULLS = 10
"""Pulls beyond which the Bayes optimum has too many beliefs to go through."""


class Cell(NamedTuple):
    """A setting: the episodes of a trial (a bandit's pulls) and, of a bandit, the arms."""

    arms: int | None
    episodes: int

    @property
    def name(self) -> str:
        """Such as "k10-n100", or "n100"."""
        return f"n{self.episodes}" if self.arms is None else f"k{self.arms}-n{self.episodes}"

    @property
    def words(self) -> str:
        """Such as "k = 10, n = 100", or "n = 100"."""
        return f"{'' if self.arms is None else f'k = {self.arms}, '}n = {self.episodes}"

    @property
    def options(self) -> dict[str, int]:
        """Of the task distribution."""
        return {} if self.arms is None else {"arms": self.arms}

    @property
    def columns(self) -> dict[str, int]:
        """What names the setting in tables of results."""
        return {**self.options, "episodes": self.episodes}


class Contender(NamedTuple):
    """An agent of a table, for any cell."""

    name: str
    group: Group
    spec: str
    """The baseline with its parameters, or a checkpoint's name with {cell} in it."""
    tuned: bool = False
    """Its parameters come from its sweep, for each cell the best on the validation split."""
    prior: str = ""
    """What it believes before it has seen anything, where there is a choice."""

    @property
    def trained(self) -> bool:
        """Whether it is a checkpoint."""
        return self.group in TRAINED


def contest(group: str) -> str:
    """With whom the agents of a group are compared: those of one contest; nobody, if it is empty.

    An exact optimum would win each time, significantly or not. Who does not know what the MDPs are
    drawn from plays another game than who does, and than who learned it.
    """
    return {"exact": "", "paper's prior": group}.get(group, "main")


class PaperTable(NamedTuple):
    """A table of the paper."""

    name: str
    task: str
    options: dict[str, Any]
    """Those of the task that the paper has set, besides the cells'."""
    cells: list[Cell]
    lineup: list[Contender]
    reference: str
    """The best agent that is known for any cell."""
    trials: int
    """As many as each agent plays, unless told otherwise."""
    unit: str
    """What an episode is."""
    adaptation: Literal["regret", "reward"]
    """What is told of each part of a trial."""
    optimum: str = ""
    """Name of who knows the task, to stand beside the agents; "" if nobody should."""

    def agents(self) -> list[str]:
        """Names, in the table's order."""
        return [*(each.name for each in self.lineup), *([self.optimum] if self.optimum else [])]

    def options_of(self, cell: Cell) -> dict[str, Any]:
        """Options of a cell's task: the table's and the cell's."""
        return {**self.options, **cell.options}

    def cell_of(self, row: Mapping[str, Any]) -> Cell:
        """The cell of a row of results."""
        return Cell(int(row["arms"]) if "arms" in row else None, int(row["episodes"]))

    @property
    def columns(self) -> tuple[str, ...]:
        """What names a cell in tables of results."""
        return tuple(self.cells[0].columns)


def trained(task: str) -> list[Contender]:
    """The checkpoints, by what they were told in training: never two kinds under one name."""
    return [
        Contender("rl2", "RL from scratch", f"{task}-{{cell}}"),
        Contender("rl2-privileged", "privileged RL", f"{task}-{{cell}}-privileged"),
        Contender("rl2-imitation", "imitation", f"{task}-{{cell}}-imitation"),
        Contender("rl2-imitation-rl", "RL after imitation", f"{task}-{{cell}}-imitation-rl"),
    ]


TABLE1 = PaperTable(
    name="table1",
    task="bandit",
    options={"alpha": 1.0, "beta": 1.0},
    cells=[Cell(arms, episodes) for episodes in (10, 100, 500) for arms in (5, 10, 50)],
    lineup=[
        Contender("random", "baseline", "random"),
        Contender("greedy", "baseline", "greedy(ties='first')"),  # the paper's
        Contender("epsilon-greedy", "baseline", "epsilon-greedy", tuned=True),
        Contender("ucb1", "baseline", "ucb1", tuned=True),
        Contender("thompson", "baseline", "thompson"),
        Contender("ots-density", "baseline", "ots-density", tuned=True),
        Contender("ots-mean", "baseline", "ots-mean"),
        Contender("gittins", "baseline", "gittins", tuned=True),
        Contender("gittins-finite-horizon", "baseline", "gittins(method='finite-horizon')"),
        Contender("bayes-optimum", "exact", "bayes-optimum"),
        *trained("bandit"),
    ],
    reference="gittins-finite-horizon",
    trials=10_000,
    unit="pull",
    adaptation="regret",
)


def planners(group: Group, prior: str) -> list[Contender]:
    """The planning agents of Table 2 with one of the two priors."""
    names = {"psrl": False, "opsrl": True, "ucrl2": True, "beb": True}
    names |= {"epsilon-greedy-mdp": True, "greedy-mdp": False}
    return [
        Contender(f"{name.removesuffix('-mdp')}-{prior}", group, name, tuned, prior)
        for name, tuned in names.items()
    ]


TABLE2 = PaperTable(
    name="table2",
    task="tabular-mdp",
    options={
        **{"states": 10, "actions": 5, "horizon": 10},
        **{"reward_mean": 1.0, "reward_sd": 1.0, "noise_sd": 1.0, "alpha": 1.0},
    },
    cells=[Cell(None, episodes) for episodes in (10, 25, 50, 75, 100)],
    lineup=[
        Contender("random", "baseline", "random"),
        *planners("paper's prior", "paper"),
        *planners("true prior", "true"),
        *trained("mdp"),
    ],
    reference="beb-true",
    trials=1000,
    unit="episode",
    adaptation="reward",
    optimum="known-mdp",
)

TABLES = {table.name: table for table in (TABLE1, TABLE2)}
