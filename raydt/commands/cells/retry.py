"""`raydt retry`: let the next launch train cells again."""

from __future__ import annotations

import argparse

from rich.console import Console

from raydt.commands.cells.selection import add_selection
from raydt.commands.parser import CommandParser


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument("--done-too", action="store_true", help="also retrain cells that are done")
    add_selection(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.cells import matching_cells, retry_cells
    from raydt.terminal.selection import show_cells
    from raydt.terminal.status import find_sweep

    sweep = find_sweep(parsed.storage, parsed.name)
    cells = retry_cells(sweep, matching_cells(sweep, parsed.patterns), parsed.done_too)
    show_cells("The next launch retrains", cells, Console(highlight=False))
    return 0
