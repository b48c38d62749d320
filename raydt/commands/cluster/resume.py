"""`raydt resume`: start a sweep on a cluster again."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from raydt.commands.cluster.following import (
    add_address,
    add_follow,
    add_job,
    follow,
    line_console,
)
from raydt.commands.parser import CommandParser
from raydt.errors import bad
from raydt.storage.opening import is_remote


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    add_job(parser)
    add_follow(parser)
    parser.add_argument(
        "--storage",
        help="storage of the sweep, as the cluster sees it [as the cluster's job has it]",
    )
    add_address(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    """The same command again where the cluster knows it, else the sweep as its storage records it:
    a new cluster on an old storage knows no jobs."""
    from raydt.orchestration.cluster.jobs import Cluster

    storage = parsed.storage
    if storage is not None and not is_remote(storage) and not Path(storage).is_absolute():
        raise bad("--storage", "an absolute path, as the cluster sees it", repr(parsed.storage))
    cluster = Cluster(parsed.address)
    if parsed.storage is None:
        job = cluster.job(parsed.name)
        name, storage, command = job.sweep, job.storage, list(job.command)
    else:
        name, storage = parsed.name, parsed.storage
        command = ["python", "-m", "raydt", "run", "--recorded", f"{storage.rstrip('/')}/{name}"]
    here = Path.cwd()
    # A script travels again, and has to be here again; raydt itself is installed on the cluster.
    is_script = parsed.storage is None and command[1] != "-m"
    if is_script and not (here / command[1]).is_file():
        raise bad("folder", f"that from which {name} was submitted, with {command[1]}", here)
    job = cluster.submit(name, storage, command, here if is_script else None)
    line_console().print(
        f"Submitted {job.job_id}: {shlex.join(command)}", markup=False, soft_wrap=True
    )
    return follow(cluster, job.job_id, parsed)
