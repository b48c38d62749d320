"""`raydt plan`: what a sweep would train, and what that costs."""

from __future__ import annotations

import argparse

from rich.console import Console

from raydt.commands.parser import CommandParser
from raydt.commands.sweep_parser import SweepParser
from raydt.config.read import read_sweep
from raydt.config.sweep import Sweep
from raydt.errors import InputError


def make_parser(prog: str, about: str) -> CommandParser:
    parser = SweepParser(prog, about)
    shown = parser.add_argument_group("What is shown")
    shown.add_argument("--all", action="store_true", help="every cell, however many there are")
    parser.add_sweep_options()
    return parser


def run(parsed: argparse.Namespace) -> int:
    return show(read_sweep(parsed.typed), parsed.all)


def show(sweep: Sweep, every_cell: bool) -> int:
    """Print the plan of a sweep; nothing is started."""
    from raydt.orchestration.preflight import check_declaration
    from raydt.terminal.plan import show_plan

    _, problems = check_declaration(sweep)
    if problems:
        raise InputError(problems)
    show_plan(sweep, Console(highlight=False), every_cell)
    return 0
