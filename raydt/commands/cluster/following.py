"""Shared parts of the cluster commands: the address, and following a job."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console

from raydt.commands.parser import CommandParser
from raydt.errors import RunError

if TYPE_CHECKING:
    from raydt.orchestration.cluster.jobs import Cluster


def add_address(parser: CommandParser) -> None:
    """Add `--address`, the cluster's address."""
    parser.add_argument(
        "--address",
        metavar="URL",
        help="address of the cluster [RAY_ADDRESS, or http://127.0.0.1:8265]",
    )


def add_follow(parser: CommandParser) -> None:
    """Add `--follow`, for a command that starts a job."""
    parser.add_argument(
        "--follow", "-f", action="store_true", help="show the log of the job until it ends"
    )


def add_job(parser: CommandParser) -> None:
    """Add the name of the job."""
    parser.add_argument("name", help="name of the sweep, or id of its job")


def follow(cluster: Cluster, job_id: str, parsed: argparse.Namespace) -> int:
    """With `-f`, print the log until the job ends, and fail if it failed; else print the next
    command."""
    console = line_console()
    where = f" --address {parsed.address}" if parsed.address else ""
    if not parsed.follow:
        console.print(f"Next:  raydt logs -f {job_id}{where}", markup=False, soft_wrap=True)
        return 0
    try:
        for text in cluster.follow(cluster.job(job_id)):
            print(text, end="", flush=True)
    except KeyboardInterrupt:
        console.print(
            f"\nThe job is still running. To stop it: raydt stop {job_id}{where}", markup=False
        )
        raise
    job = cluster.job(job_id)
    if job.status != "SUCCEEDED":
        raise RunError(f"{job_id} {job.status.lower()}: {job.message}")
    return 0


def line_console() -> Console:
    """A console that does not wrap lines, so that commands and ids can be copied."""
    return Console(highlight=False, soft_wrap=True)
