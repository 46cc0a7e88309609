"""Tables on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDEST = 10_000


def show(table: Table) -> None:
    """Print a table, with no cell broken over lines or cut: wider than the screen if need be."""
    console = Console()
    natural = Measurement.get(console, console.options.update(width=WIDEST), table).maximum
    console.width = max(console.width, natural)
    console.print(table)
