"""`raydt jobs`: the running and finished sweeps of a cluster."""

from __future__ import annotations

import argparse
import time

from rich import box
from rich.markup import escape
from rich.table import Table

from raydt.commands.cluster.following import add_address, line_console
from raydt.commands.parser import CommandParser


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    add_address(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.cluster.jobs import Cluster

    cluster = Cluster(parsed.address)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("sweep", "status", "started", "storage", "job"):
        table.add_column(column, no_wrap=True)
    for job in cluster.jobs():
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.started_seconds))
        row = (job.sweep, job.status.lower(), started, job.storage, job.job_id)
        table.add_row(*(escape(cell) for cell in row))
    console = line_console()
    if not console.is_terminal:
        console.width = 200  # a pipe has no width, and ids must not be truncated
    console.print(table if table.row_count else f"No sweeps at {cluster.address}.")
    return 0
