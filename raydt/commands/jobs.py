"""`raydt submit`, `jobs`, `logs`, `stop` and `resume`: a cluster as a service.

Wiring, as in `raydt.cli`: what can be wrong is known before the cluster is asked, and Ray is
imported only when it is.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raydt.config.read import add_sweep_arguments, read_sweep
from raydt.config.sweep import Sweep
from raydt.errors import InputError, Problem, RunError, bad
from raydt.storage.opening import is_remote
from raydt.tracking.uri import has_password

Add = Callable[[str, str], argparse.ArgumentParser]


def add_commands(add: Add) -> None:
    """The parsers of the commands; `add` makes one from a name and what it is about."""
    submit = add("submit", "start a sweep on a running Ray cluster: submit sweeps/grid.py -- ...")
    submit.add_argument("script", help="of this folder, as sweeps/grid.py")
    submit.add_argument("--follow", "-f", action="store_true", help="show its log until it ends")
    submit.add_argument(
        "arguments", nargs="*", metavar="ARGS", help="of the script, after --; --storage is needed"
    )
    jobs = add("jobs", "show the sweeps that a cluster runs or ran")
    logs = add("logs", "show what a sweep on a cluster has printed")
    logs.add_argument("--follow", "-f", action="store_true", help="until it ends")
    stop = add("stop", "stop a sweep on a cluster; what is done is kept")
    resume = add("resume", "start a sweep on a cluster again, to go on with what is missing")
    resume.add_argument("--follow", "-f", action="store_true", help="show its log until it ends")
    resume.add_argument(
        "--storage", help="of the sweep, as the cluster sees it [as the cluster's job has it]"
    )
    for command in (logs, stop, resume):
        command.add_argument("name", help="of the sweep, or the id of its job")
    for command in (submit, jobs, logs, stop, resume):
        command.add_argument(
            "--address",
            metavar="URL",
            help="of the cluster [RAY_ADDRESS, or http://127.0.0.1:8265]",
        )


def submit(parsed: argparse.Namespace) -> int:
    """Check what can be checked here, then start the script on the cluster."""
    here = Path.cwd()
    script = Path(parsed.script)
    problems = []
    if not script.is_file() or not script.resolve().is_relative_to(here):
        problems.append(
            Problem("script", f"a file in {here}, which is what travels", repr(parsed.script))
        )
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_sweep_arguments(parser)
    sweep_words, unknown = parser.parse_known_args(parsed.arguments)
    try:
        problems += _left_behind(read_sweep(sweep_words, unknown), sweep_words, here)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    sweep = read_sweep(sweep_words)
    from raydt.orchestration.jobs import Cluster

    cluster = Cluster(parsed.address)
    command = ["python", str(script.resolve().relative_to(here)), *parsed.arguments]
    job = cluster.submit(sweep.name, sweep.storage, command, here)
    _console().print(f"Submitted {job.job_id}: {sweep.name} in {sweep.folder.uri}", markup=False)
    return _follow(cluster, job.job_id, parsed)


def jobs(parsed: argparse.Namespace) -> int:
    """A row per sweep of the cluster."""
    from raydt.orchestration.jobs import Cluster

    cluster = Cluster(parsed.address)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("sweep", "status", "started", "storage", "job"):
        table.add_column(column, no_wrap=True)
    for job in cluster.jobs():
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.started_seconds))
        row = (job.sweep, job.status.lower(), started, job.storage, job.job_id)
        table.add_row(*(escape(cell) for cell in row))
    console = _console()
    if not console.is_terminal:
        console.width = 200  # a pipe has no width, and ids must not be cut
    console.print(table if table.row_count else f"No sweeps at {cluster.address}.")
    return 0


def logs(parsed: argparse.Namespace) -> int:
    """What a sweep has printed, until now or to its end."""
    from raydt.orchestration.jobs import Cluster

    cluster = Cluster(parsed.address)
    job = cluster.job(parsed.name)
    if parsed.follow:
        return _follow(cluster, job.job_id, parsed)
    print(cluster.logs(job), end="")
    return 0


def stop(parsed: argparse.Namespace) -> int:
    """Stop a sweep; not an error if it is over already."""
    from raydt.orchestration.jobs import Cluster

    cluster = Cluster(parsed.address)
    job = cluster.job(parsed.name)
    if job.ended:
        _console().print(f"{job.job_id} is over: {job.status.lower()}.", markup=False)
        return 0
    now = cluster.stop(job)
    _console().print(
        f"{now.job_id}: {now.status.lower()}. What is done is kept; `raydt resume {now.sweep}` "
        "goes on.",
        markup=False,
    )
    return 0


def resume(parsed: argparse.Namespace) -> int:
    """The same command again where the cluster knows it, else the sweep as its storage records it:
    a new cluster on an old storage knows no jobs."""
    from raydt.orchestration.jobs import Cluster

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
    _console().print(f"Submitted {job.job_id}: {shown(command)}", markup=False, soft_wrap=True)
    return _follow(cluster, job.job_id, parsed)


HANDLERS: dict[str, Callable[[argparse.Namespace], int]] = {
    "submit": submit, "jobs": jobs, "logs": logs, "stop": stop, "resume": resume,
}  # fmt: skip


def shown(command: list[str]) -> str:
    """A command as one would type it."""
    import shlex

    return shlex.join(command)


def _left_behind(sweep: Sweep, words: argparse.Namespace, here: Path) -> list[Problem]:
    """What of the sweep names a place that the cluster's nodes do not have."""
    problems = []
    # A job runs in a copy of this folder that goes with it, on a machine with another home.
    if not is_remote(sweep.storage) and not Path(sweep.storage).is_absolute():
        wanted = "an absolute path that every node of the cluster sees, given with the script's"
        problems.append(Problem("--storage", f"{wanted} arguments", repr(sweep.storage)))
    typed = str(getattr(words, "corpus", ""))  # a sweep has made it absolute, here
    if typed.startswith("files:") and not Path(typed.removeprefix("files:")).is_absolute():
        wanted = "an absolute path that the head of the cluster sees"
        problems.append(Problem("corpus", wanted, repr(typed)))
    for option, file in (("--sweep", words.sweep), ("--hparams", getattr(words, "hparams", None))):
        if file is None:
            continue
        if not Path(file).resolve().is_relative_to(here):
            problems.append(Problem(option, f"a file in {here}, which is what travels", file))
        elif Path(file).is_absolute():
            problems.append(Problem(option, "a relative path: it travels", file))
    if sweep.tracking_uri is not None and has_password(sweep.tracking_uri):
        wanted = "no password, which everybody on the cluster could read in the job; set "
        wanted += "PGPASSWORD or MLFLOW_TRACKING_PASSWORD where the head starts Ray"
        problems.append(Problem("tracking_uri", wanted, "one"))
    if sweep.tracking_uri is not None and sweep.tracking_uri.startswith("sqlite:"):
        wanted = "a server, or nothing (SQLite in the storage): two nodes may not open one file"
        if not Path(sweep.tracking_uri.removeprefix("sqlite:///")).is_absolute():
            problems.append(Problem("tracking_uri", wanted, sweep.tracking_uri))
    return problems


def _follow(cluster: object, job_id: str, parsed: argparse.Namespace) -> int:
    """With `-f`, the log to the end and the job's end as ours; else what to type next."""
    from raydt.orchestration.jobs import Cluster

    assert isinstance(cluster, Cluster)
    console = _console()
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


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)
