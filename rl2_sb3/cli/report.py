"""``rl2 report``: a table of the paper, with its pictures, from the tables of results alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl2_sb3.reports import table1, table2
from rl2_sb3.reports.report import write_report
from rl2_sb3.reports.table3 import write_table3

Write = Callable[[Path, Path, Path | None], list[Path]]
REPORTS: dict[str, Write] = {
    "table1": partial(write_report, table1.BOOK),
    "table2": partial(write_report, table2.BOOK),
    "table3": write_table3,
}


@dataclass(kw_only=True)
class Report:
    """Write the report of a table of the paper: DOCS/table1.md and its pictures DOCS/table1*.png.

    table1 is the bandits, table2 the random tabular MDPs, table3 the mazes.

    Nothing is played or trained: every number comes from the tables that `rl2 benchmark table1`
    (for table3: `rl2 evaluate ... --append-to results/table3.csv`) and `rl2 plot RUN ... --save
    results/learning_curves.csv` wrote.
    """

    table: Annotated[Literal["table1", "table2", "table3"], tyro.conf.Positional]
    """Of the paper."""
    results: Path = Path("results")
    """Folder of the tables."""
    docs: Path = Path("docs")
    """Folder to write into."""
    readme: Path | None = None
    """File with the lines <!-- table1 --> and <!-- /table1 -->, or the table's; what stands between
    them is replaced by a short form of the table."""


def report(args: Sequence[str]) -> None:
    """Parse the options and write."""
    config = tyro.cli(Report, args=list(args), prog="rl2 report")
    if not config.results.is_dir():
        raise ValueError(
            f"There is no folder {config.results}: name that of the tables with --results, or go "
            "to a checkout of rl2-sb3."
        )
    for path in REPORTS[config.table](config.results, config.docs, config.readme):
        print(path)
