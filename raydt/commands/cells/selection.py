"""Which cells a command is about."""

from __future__ import annotations

from raydt.commands.parser import CommandParser


def add_selection(parser: CommandParser) -> None:
    """Patterns of cell ids, and the sweep that the cells are of."""
    parser.add_argument(
        "patterns", nargs="+", metavar="PATTERN", help="a cell's id, or such as 'finetune/*'"
    )
    parser.add_sweep_name()
