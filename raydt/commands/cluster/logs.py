"""`raydt logs`: the output of a sweep on a cluster."""

from __future__ import annotations

import argparse

from raydt.commands.cluster.following import add_address, add_job, follow
from raydt.commands.parser import CommandParser


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument(
        "--follow", "-f", action="store_true", help="show new lines until the job ends"
    )
    add_job(parser)
    add_address(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.cluster.jobs import Cluster

    cluster = Cluster(parsed.address)
    job = cluster.job(parsed.name)
    if parsed.follow:
        return follow(cluster, job.job_id, parsed)
    print(cluster.logs(job), end="")
    return 0
