"""`raydt resume`: restart a sweep on a cluster."""

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
        help="storage of the sweep, as seen from the cluster [that of the earlier job]",
    )
    add_address(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    """Run the command of the earlier job again or, with `--storage`, the sweep as recorded there: a
    new cluster does not know the job."""
    from raydt.orchestration.cluster.jobs import Cluster

    storage = parsed.storage
    if storage is not None and not is_remote(storage) and not Path(storage).is_absolute():
        raise bad("--storage", "an absolute path, as seen from the cluster", repr(parsed.storage))
    cluster = Cluster(parsed.address)
    if parsed.storage is None:
        job = cluster.job(parsed.name)
        name, storage, command = job.sweep, job.storage, list(job.command)
    else:
        name, storage = parsed.name, parsed.storage
        command = ["python", "-m", "raydt", "run", "--recorded", f"{storage.rstrip('/')}/{name}"]
    here = Path.cwd()
    # A script is uploaded again, so it must be in this folder. raydt is installed on the cluster.
    is_script = parsed.storage is None and command[1] != "-m"
    if is_script and not (here / command[1]).is_file():
        expected = f"the one from which {name} was submitted, with {command[1]}"
        raise bad("working directory", expected, here)
    job = cluster.submit(name, storage, command, here if is_script else None)
    line_console().print(
        f"Submitted {job.job_id}: {shlex.join(command)}", markup=False, soft_wrap=True
    )
    return follow(cluster, job.job_id, parsed)
