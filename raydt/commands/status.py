"""`raydt status`: the state of the cells of a sweep."""

from __future__ import annotations

import argparse

from rich.console import Console

from raydt.commands.parser import CommandParser


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument("name", nargs="?", help="name of the sweep [the only one in the storage]")
    parser.add_storage()
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.terminal.status import show_status

    show_status(parsed.storage, parsed.name, Console(highlight=False))
    return 0
