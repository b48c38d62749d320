"""`raydt submit`: start a sweep on a cluster, after all checks that can be made locally."""

from __future__ import annotations

import argparse
from pathlib import Path

from raydt.commands.cluster.following import add_address, add_follow, follow, line_console
from raydt.commands.parser import CommandParser
from raydt.commands.refine_options import add_refine_options
from raydt.commands.sweep_parser import SweepParser
from raydt.config.read import Typed, read_sweep
from raydt.config.sweep import Sweep
from raydt.errors import InputError, Problem
from raydt.storage.opening import is_remote
from raydt.tracking.uri import has_password


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument("script", help="script in this folder, such as sweeps/grid.py")
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="ARGS",
        help="options of the script, after --; --storage is required",
    )
    add_follow(parser)
    add_address(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    here = Path.cwd()
    script = Path(parsed.script)
    problems = []
    if not script.is_file() or not script.resolve().is_relative_to(here):
        problems.append(
            Problem("script", f"a file in {here}, which is uploaded", repr(parsed.script))
        )
    script_parser = SweepParser(parsed.script, "")
    add_refine_options(script_parser)
    script_parser.add_sweep_options()
    typed: Typed = script_parser.read(parsed.arguments).typed
    try:
        sweep = read_sweep(typed)
        problems += _not_on_cluster(sweep, typed, here)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    from raydt.orchestration.cluster.jobs import Cluster

    cluster = Cluster(parsed.address)
    command = ["python", str(script.resolve().relative_to(here)), *parsed.arguments]
    job = cluster.submit(sweep.name, sweep.storage, command, here)
    line_console().print(
        f"Submitted {job.job_id}: {sweep.name} in {sweep.folder.uri}", markup=False
    )
    return follow(cluster, job.job_id, parsed)


def _not_on_cluster(sweep: Sweep, typed: Typed, here: Path) -> list[Problem]:
    """Problems with paths that the cluster's nodes do not have."""
    problems = []
    # A job runs in an uploaded copy of this folder, on a machine with another home directory.
    if not is_remote(sweep.storage) and not Path(sweep.storage).is_absolute():
        wanted = "an absolute path that every node of the cluster sees, given with the script's"
        problems.append(Problem("--storage", f"{wanted} arguments", repr(sweep.storage)))
    corpus = str(typed.fields.get("corpus", ""))  # as typed: sweep.corpus is absolute
    if corpus.startswith("files:") and not Path(corpus.removeprefix("files:")).is_absolute():
        wanted = "an absolute path that the head of the cluster sees"
        problems.append(Problem("corpus", wanted, repr(corpus)))
    for option, file in (("--sweep", typed.sweep_file), ("--hparams", typed.hparams_file)):
        if file is None:
            continue
        if not Path(file).resolve().is_relative_to(here):
            problems.append(Problem(option, f"a file in {here}, which is uploaded", file))
        elif Path(file).is_absolute():
            problems.append(Problem(option, "a relative path, as it is uploaded", file))
    if sweep.tracking_uri is not None and has_password(sweep.tracking_uri):
        wanted = "no password, because everybody on the cluster can read the job's command; set "
        wanted += "PGPASSWORD or MLFLOW_TRACKING_PASSWORD where the head starts Ray"
        problems.append(Problem("tracking_uri", wanted, "one"))
    if sweep.tracking_uri is not None and sweep.tracking_uri.startswith("sqlite:"):
        wanted = "a server, or nothing (SQLite in the storage): nodes cannot share a SQLite file"
        if not Path(sweep.tracking_uri.removeprefix("sqlite:///")).is_absolute():
            problems.append(Problem("tracking_uri", wanted, sweep.tracking_uri))
    return problems
