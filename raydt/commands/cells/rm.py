"""`raydt rm`: remove the files and MLflow runs of cells."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from raydt.commands.cells.selection import add_selection
from raydt.commands.parser import CommandParser
from raydt.errors import RunError, bad


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument(
        "--weights", action="store_true", help="remove only weights; keep results and journals"
    )
    add_selection(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.cells import matching_cells, remove_cells
    from raydt.orchestration.weights import remove_weights
    from raydt.terminal.selection import show_cells
    from raydt.terminal.status import find_sweep
    from raydt.units import approximate_bytes

    sweep = find_sweep(parsed.storage, parsed.name)
    cells = matching_cells(sweep, parsed.patterns)
    console = Console(highlight=False)
    if not parsed.yes:
        if not sys.stdin.isatty():
            raise bad("raydt rm", "--yes, or a terminal to ask for confirmation", "neither")
        what = "To be removed: the weights of" if parsed.weights else "To be removed:"
        show_cells(what, cells, console)
        if console.input("Remove them? [y/N] ").strip().lower() not in ("y", "yes"):
            raise RunError("nothing was removed")
    if parsed.weights:
        freed = remove_weights(sweep, cells)
        show_cells("Removed the weights of", freed.cells, console)
        console.print(f"Freed {approximate_bytes(freed.num_bytes)} bytes on disk")
        return 0
    show_cells("Removed", remove_cells(sweep, cells), console)
    return 0
