"""The style of all tables in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


def plain_table(title: str) -> Table:
    """An empty table, without columns."""
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def fits(out: Console, table: Table) -> bool:
    """Whether the table fits into the terminal without folding any cell."""
    width = Measurement.get(out, out.options.update(max_width=10_000), table).maximum
    return width <= out.width
