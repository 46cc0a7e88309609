"""``rl2 report``: a table of the paper, with its pictures, from the tables of results alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl2_sb3.reports import table1, table2
from rl2_sb3.reports.report import write_report

BOOKS = {book.paper.name: book for book in (table1.BOOK, table2.BOOK)}


@dataclass(kw_only=True)
class Report:
    """Write the report of a table of the paper: DOCS/table1.md and its pictures DOCS/table1*.png.

    table1 is the bandits, table2 the random tabular MDPs.

    Nothing is played or trained: every number comes from the tables that `rl2 benchmark table1`
    and `rl2 plot RUN ... --save results/learning_curves.csv` wrote.
    """

    table: Annotated[Literal["table1", "table2"], tyro.conf.Positional]
    """Of the paper."""
    results: Path = Path("results")
    """Folder of the tables."""
    docs: Path = Path("docs")
    """Folder to write into."""
    readme: Path | None = None
    """File with the lines <!-- table1 --> and <!-- /table1 -->, or those of table2; what stands
    between them is replaced by a short form of the table."""


def report(args: Sequence[str]) -> None:
    """Parse the options and write."""
    config = tyro.cli(Report, args=list(args), prog="rl2 report")
    if not config.results.is_dir():
        raise ValueError(
            f"There is no folder {config.results}: name that of the tables with --results, or go "
            "to a checkout of rl2-sb3."
        )
    for path in write_report(BOOKS[config.table], config.results, config.docs, config.readme):
        print(path)
