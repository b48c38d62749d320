"""The table of `raydt plan --next`."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raydt.terminal.amounts import short

Row = tuple[str, str, int, float]  # source, target, FLOPs, share of the variance that it removes


def show_next(rows: Sequence[Row], num_measured: int, num_missing: int, console: Console) -> None:
    """Print the pairs, the best first."""
    if not rows:
        console.print("--next: all pairs of the sweep are measured.")
        return
    title = f"next {len(rows)} of {num_missing} unmeasured pairs"
    console.print(title, style="bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("pair", no_wrap=True)
    table.add_column("FLOPs", justify="right")
    table.add_column("narrows by", justify="right")
    for source, target, flops, narrowing in rows:
        table.add_row(escape(f"{source}→{target}"), short(flops), f"{narrowing:.1%}")
    console.print(table)
    known = f"their spreads are estimated from {num_measured} measured pairs"
    if not num_measured:
        known = "too few pairs are measured to estimate their spreads"
    console.print(
        "Narrows by: share of the variance of log D_E over all unmeasured pairs that the pair "
        f"removes, in a model with effects of sources, targets and distances ({known}). FLOPs: "
        "cost of the missing cells; cells that a pair shares with one above it cost nothing. The "
        "best pair per FLOP is first.",
        style="dim",
    )
