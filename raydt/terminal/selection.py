"""The cells that a command changed, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from raydt.grid.cell import Cell

_SHOWN = 10


def show_cells(verb: str, cells: Sequence[Cell], console: Console) -> None:
    """Print `verb`, the number of cells, and the first of them."""
    noun = "cell" if len(cells) == 1 else "cells"
    console.print(f"{verb} {len(cells)} {noun}{':' if cells else ''}")
    for cell in cells[:_SHOWN]:
        console.print(f"  {cell.cell_id}", markup=False)
    if len(cells) > _SHOWN:
        console.print(f"  … {len(cells) - _SHOWN} more")
