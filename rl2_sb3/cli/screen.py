"""Tables on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDEST = 10_000


def show(table: Table, wrapped: bool = False) -> None:
    """Print a table, with no cell cut: wider than the screen if need be.

    :param wrapped: where columns allow it, cells are broken over lines, between words
    """
    console = Console()
    natural = Measurement.get(console, console.options.update(width=WIDEST), table)
    console.width = max(console.width, natural.minimum if wrapped else natural.maximum)
    console.print(table)
