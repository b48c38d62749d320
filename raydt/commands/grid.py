"""`sweeps/grid.py`: train a grid, or with `--dry-run` show its plan."""

from __future__ import annotations

import argparse

from raydt.commands import plan
from raydt.commands.parser import CommandParser
from raydt.commands.refine_options import add_refine_options, read_refining
from raydt.commands.run import train
from raydt.commands.sweep_parser import SweepParser
from raydt.config.read import read_sweep
from raydt.errors import with_problems


def make_parser(prog: str, about: str) -> CommandParser:
    parser = SweepParser(prog, about)
    look = parser.add_argument_group("Look first")
    look.add_argument(
        "--dry-run", action="store_true", help="show the cells and their cost, then exit"
    )
    look.add_argument(
        "--all", action="store_true", help="like --dry-run, and list every cell of a long plan"
    )
    add_refine_options(parser.add_argument_group("Narrow the intervals"))
    parser.add_sweep_options()
    parser.epilog = (
        f"Example: `python {prog} --corpus files:texts --sources en zh --targets de --dry-run`"
    )
    return parser


def run(parsed: argparse.Namespace) -> int:
    refining, problems = read_refining(parsed.until, parsed.budget)
    sweep = with_problems(problems, lambda: read_sweep(parsed.typed))
    # A request to show something is not a request to train.
    look = parsed.dry_run or parsed.all
    return plan.show(sweep, parsed.all, refining=refining) if look else train(sweep, refining)
