"""What a table of the paper is: its settings, and the agents that play in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from rl2_sb3.signals import Training

Group = Literal["baseline", "paper's prior", "true prior", "exact"] | Training
TRAINED: tuple[Training, ...] = get_args(Training)


class Cell(NamedTuple):
    """A setting: the episodes of a trial, of bandits the arms, of mazes the size."""

    arms: int | None
    episodes: int
    size: str | None = None

    @property
    def name(self) -> str:
        """Such as "k10-n100", "n100" or "small"."""
        if self.size is not None:
            return self.size
        return f"n{self.episodes}" if self.arms is None else f"k{self.arms}-n{self.episodes}"

    @property
    def words(self) -> str:
        """Such as "k = 10, n = 100", or "n = 100"."""
        return f"{'' if self.arms is None else f'k = {self.arms}, '}n = {self.episodes}"

    @property
    def options(self) -> dict[str, Any]:
        """Of the task distribution."""
        options = {"arms": self.arms, "size": self.size}
        return {name: value for name, value in options.items() if value is not None}

    @property
    def columns(self) -> dict[str, Any]:
        """What names the setting in tables of results."""
        return {**self.options, "episodes": self.episodes}


class Entry(NamedTuple):
    """An agent of a table, for any cell."""

    name: str
    group: Group
    spec: str
    """The baseline with its parameters, or a trained agent's name with {cell} in it."""
    tuned: bool = False
    """Its parameters come from its sweep, for each cell the best on the validation split."""
    prior: str = ""
    """What it believes before it has seen anything, where there is a choice."""
    longest: int | None = None
    """Episodes beyond which it cannot be computed."""

    @property
    def trained(self) -> bool:
        """Whether it is a trained agent."""
        return self.group in TRAINED


def trained_entries(task: str) -> list[Entry]:
    """The trained agents, by what they were told in training: never two kinds under one name."""
    return [
        Entry("rl2", "RL from scratch", f"{task}-{{cell}}"),
        Entry("rl2-privileged", "privileged RL", f"{task}-{{cell}}-privileged"),
        Entry("rl2-imitation", "imitation", f"{task}-{{cell}}-imitation"),
        Entry("rl2-imitation-rl", "RL after imitation", f"{task}-{{cell}}-imitation-rl"),
    ]


def comparison_group(group: str) -> str:
    """The agents that those of a group are compared with share its value; "": they are with nobody.

    An exact optimum would win each time, significantly or not. Who does not know what the MDPs are
    drawn from plays another game than who does, and than who learned it.
    """
    return {"exact": "", "paper's prior": group}.get(group, "main")


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A table of the paper."""

    name: str
    task: str
    options: Mapping[str, Any]
    """Those of the task that the paper has set, besides the cells'."""
    cells: list[Cell]
    lineup: list[Entry]
    trials: int
    """As many as each agent plays, unless told otherwise."""

    def agents(self) -> list[str]:
        """Names, in the table's order."""
        return [entry.name for entry in self.lineup]

    def options_of(self, cell: Cell) -> dict[str, Any]:
        """Options of a cell's task: the cell's and the table's."""
        return {**self.options, **cell.options}


@dataclass(frozen=True, kw_only=True)
class ReturnsTable(PaperTable):
    """A table of mean returns."""

    reference: str
    """The best agent that is known for any cell."""
    unit: str
    """What an episode is."""
    adaptation: Literal["regret", "reward"]
    """What is told of each part of a trial."""
    optimum: str = ""
    """Name of who knows the task, to stand beside the agents; "" if nobody should."""

    def agents(self) -> list[str]:
        return [*super().agents(), *([self.optimum] if self.optimum else [])]

    def cell_of(self, row: Mapping[str, Any]) -> Cell:
        """The cell of a row of results."""
        return Cell(int(row["arms"]) if "arms" in row else None, int(row["episodes"]))

    @property
    def columns(self) -> tuple[str, ...]:
        """What names a cell in tables of results."""
        return tuple(self.cells[0].columns)
