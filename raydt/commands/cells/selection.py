"""Options that select the cells of a command."""

from __future__ import annotations

from raydt.commands.parser import CommandParser


def add_selection(parser: CommandParser) -> None:
    """Add patterns of cell ids, and the options for their sweep."""
    parser.add_argument(
        "patterns",
        nargs="+",
        metavar="PATTERN",
        help="id of a cell, or a pattern such as 'finetune/*'",
    )
    parser.add_sweep_name()
