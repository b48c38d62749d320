"""The pairs that `raydt plan --next` would measure."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raydt.terminal.amounts import short

Row = tuple[str, str, int, float]  # source, target, FLOPs, share of the variance taken off


def show_next(rows: Sequence[Row], num_measured: int, num_missing: int, console: Console) -> None:
    """Print them, the best first."""
    if not rows:
        console.print("--next: every pair of the sweep is measured.")
        return
    title = f"next {len(rows)} of {num_missing} pairs that are not measured"
    console.print(title, style="bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("pair", no_wrap=True)
    table.add_column("FLOPs", justify="right")
    table.add_column("narrows by", justify="right")
    for source, target, flops, narrowing in rows:
        table.add_row(escape(f"{source}→{target}"), short(flops), f"{narrowing:.1%}")
    console.print(table)
    known = f"spreads as {num_measured} measured pairs have them"
    if not num_measured:
        known = "too few pairs are measured to know how much each of these parts counts for"
    console.print(
        "Narrows by: share of the variance of log D_E over all pairs not measured, by effects of "
        f"sources and targets and by distances ({known}). FLOPs: of cells that are not there, the "
        "best per FLOP first; what a pair needs that one above it has brought costs nothing.",
        style="dim",
    )
