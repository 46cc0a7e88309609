"""Playing Table 2."""

from rl2_paper.benchmark import play_table
from rl2_paper.options import BenchmarkOptions
from rl2_paper.table2.lineup import TABLE2


def run(config: BenchmarkOptions) -> None:
    """Play, and write the table and rewards episode by episode."""
    play_table(TABLE2, config)
