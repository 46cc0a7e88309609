"""The commands that this distribution brings: `rl2 benchmark` and `rl2 report`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import tyro

from rl2_paper.options import BenchmarkOptions, ReportOptions
from rl2_sb3.ranges import check_config


def benchmark(args: Sequence[str]) -> None:
    """Evaluate the agents of a table of the paper in all its settings."""
    config = tyro.cli(BenchmarkOptions, args=list(args), prog="rl2 benchmark")
    check_config(config)
    import_module(f"rl2_paper.{config.table}.benchmark").run(config)


def report(args: Sequence[str]) -> None:
    """Write the report of a table of the paper from the CSV files of results."""
    config = tyro.cli(ReportOptions, args=list(args), prog="rl2 report")
    if not config.results.is_dir():
        raise ValueError(
            f"There is no folder {config.results}: name that of the tables with --results, or go "
            "to a checkout of rl2-sb3."
        )
    module = import_module(f"rl2_paper.{config.table}.report")
    for path in module.write(config.results, config.docs, config.readme):
        print(path)
