"""What the commands for a cluster share: its address, and following a job."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console

from raydt.commands.parser import CommandParser
from raydt.errors import RunError

if TYPE_CHECKING:
    from raydt.orchestration.cluster.jobs import Cluster


def add_address(parser: CommandParser) -> None:
    """`--address` of the cluster."""
    parser.add_argument(
        "--address",
        metavar="URL",
        help="address of the cluster [RAY_ADDRESS, or http://127.0.0.1:8265]",
    )


def add_follow(parser: CommandParser) -> None:
    """`--follow`, for a command that starts a job."""
    parser.add_argument("--follow", "-f", action="store_true", help="show its log until it ends")


def add_job(parser: CommandParser) -> None:
    """The job that a command is about."""
    parser.add_argument("name", help="name of the sweep, or id of its job")


def follow(cluster: Cluster, job_id: str, parsed: argparse.Namespace) -> int:
    """With `-f`, the log to the end and the job's end as ours; else what to type next."""
    console = line_console()
    where = f" --address {parsed.address}" if parsed.address else ""
    if not parsed.follow:
        console.print(f"Next:  raydt logs -f {job_id}{where}", markup=False, soft_wrap=True)
        return 0
    try:
        for text in cluster.follow(cluster.job(job_id)):
            print(text, end="", flush=True)
    except KeyboardInterrupt:
        console.print(f"\nNo longer followed; it runs on. raydt stop {job_id}{where}", markup=False)
        raise
    job = cluster.job(job_id)
    if job.status != "SUCCEEDED":
        raise RunError(f"{job_id} {job.status.lower()}: {job.message}")
    return 0


def line_console() -> Console:
    """A console for lines that are copied, such as commands and ids: they are never wrapped."""
    return Console(highlight=False, soft_wrap=True)
