"""`raydt export`: cells as models that `transformers` loads."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from raydt.commands.cells.selection import add_selection
from raydt.commands.parser import CommandParser


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument(
        "--to",
        required=True,
        metavar="FOLDER",
        help="new folder for the model; several cells get one subfolder each",
    )
    add_selection(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.export.cells import export_cells
    from raydt.orchestration.cells import matching_cells
    from raydt.terminal.status import find_sweep

    sweep = find_sweep(parsed.storage, parsed.name)
    cells = matching_cells(sweep, parsed.patterns)
    console = Console(highlight=False, soft_wrap=True)
    for cell_id, folder in export_cells(sweep, cells, Path(parsed.to).expanduser()).items():
        console.print(f"{cell_id}  {folder}", markup=False)
    return 0
