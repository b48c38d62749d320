"""`raydt refine`: add seeds to an existing sweep, where its intervals are widest."""

from __future__ import annotations

import argparse

from raydt.commands import plan
from raydt.commands.parser import CommandParser
from raydt.commands.refine_options import add_refine_options, read_refining
from raydt.commands.run import train
from raydt.errors import Problem, with_problems


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument("name", nargs="?", help="name of the sweep [the only one in the storage]")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the seeds that would be added, as known now"
    )
    add_refine_options(parser)
    parser.add_storage()
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.terminal.status import find_sweep

    refining, problems = read_refining(parsed.until, parsed.budget)
    if refining is None and not problems:
        problems = [Problem("--until", "a factor of more than 1, such as 1.5", "nothing")]
    sweep = with_problems(problems, lambda: find_sweep(parsed.storage, parsed.name))
    if parsed.dry_run:
        return plan.show(sweep, False, refining=refining)
    return train(sweep, refining)
