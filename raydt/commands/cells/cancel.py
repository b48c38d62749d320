"""`raydt cancel`: exclude cells from training."""

from __future__ import annotations

import argparse

from rich.console import Console

from raydt.commands.cells.selection import add_selection
from raydt.commands.parser import CommandParser


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    add_selection(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.cells import cancel_cells, matching_cells
    from raydt.terminal.selection import show_cells
    from raydt.terminal.status import find_sweep

    sweep = find_sweep(parsed.storage, parsed.name)
    cells = cancel_cells(sweep, matching_cells(sweep, parsed.patterns))
    show_cells("Cancelled", cells, Console(highlight=False))
    return 0
