"""`raydt sync`: update the MLflow store from the journals."""

from __future__ import annotations

import argparse

from rich.console import Console

from raydt.commands.parser import CommandParser
from raydt.errors import RunError


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument("--to", metavar="URI", help="MLflow store to write to [that of the sweep]")
    parser.add_sweep_name()
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.sync import sync_store
    from raydt.terminal.status import find_sweep

    sweep = find_sweep(parsed.storage, parsed.name)
    if parsed.to is not None:
        sweep = sweep.model_copy(update={"tracking_uri": parsed.to})
    synced = sync_store(sweep)
    Console(highlight=False).print(
        f"{synced.num_written} cells written, {synced.num_up_to_date} were already up to date"
    )
    if synced.damaged:
        raise RunError("\n".join(synced.damaged.values()))
    return 0
