"""`raydt stop`: stop a sweep on a cluster."""

from __future__ import annotations

import argparse

from raydt.commands.cluster.following import add_address, add_job, line_console
from raydt.commands.parser import CommandParser


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    add_job(parser)
    add_address(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    """Stop a sweep; not an error if it has already ended."""
    from raydt.orchestration.cluster.jobs import Cluster

    cluster = Cluster(parsed.address)
    job = cluster.job(parsed.name)
    if job.ended:
        line_console().print(f"{job.job_id} has already ended: {job.status.lower()}.", markup=False)
        return 0
    now = cluster.stop(job)
    line_console().print(
        f"{now.job_id}: {now.status.lower()}. Finished cells are kept; `raydt resume {now.sweep}` "
        "trains the others.",
        markup=False,
    )
    return 0
