"""`raydt plan`: the cells of a sweep and their cost."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from raydt.commands.next_pairs import planned_next
from raydt.commands.parser import CommandParser
from raydt.commands.sweep_parser import SweepParser
from raydt.config.machine import gpu_here, num_gpus
from raydt.config.read import read_sweep
from raydt.config.sweep import Sweep
from raydt.errors import InputError, bad
from raydt.grid.refining import Refining

if TYPE_CHECKING:
    from raydt.config.cluster_file import ClusterGpus

CLUSTER_FILE = Path("cluster.yaml")


def make_parser(prog: str, about: str) -> CommandParser:
    parser = SweepParser(prog, about)
    shown = parser.add_argument_group("What to show")
    shown.add_argument("--all", action="store_true", help="list every cell of a long plan")
    shown.add_argument(
        "--cluster",
        metavar="FILE",
        help="cluster file of `ray up`, for whose GPUs time and cost are planned "
        f"[{CLUSTER_FILE}, if the sweep needs GPUs and this machine has none]",
    )
    shown.add_argument(
        "--next",
        type=int,
        metavar="N",
        help="also list the N unmeasured pairs that would narrow the D_E matrix most per FLOP",
    )
    parser.add_sweep_options()
    return parser


def run(parsed: argparse.Namespace) -> int:
    if parsed.next is not None and parsed.next < 1:
        raise bad("--next", "at least 1 pair", parsed.next)
    return show(read_sweep(parsed.typed), parsed.all, parsed.cluster, num_next=parsed.next)


def show(
    sweep: Sweep,
    every_cell: bool,
    cluster_file: str | None = None,
    refining: Refining | None = None,
    num_next: int | None = None,
) -> int:
    """Print the plan of a sweep, of its refinement and of the pairs to measure next. Nothing is
    started."""
    from analysis.claims.answerable import Axes, answerable
    from raydt.grid.cost import with_gpu
    from raydt.orchestration.grid.refinement import forecast
    from raydt.orchestration.preflight import check_declaration, check_refining
    from raydt.terminal.answers import show_answers
    from raydt.terminal.next_pairs import show_next
    from raydt.terminal.plan import show_plan
    from raydt.terminal.refined import show_forecast

    _, problems = check_declaration(sweep)
    if refining is not None:
        problems += check_refining(sweep)
    cluster = None
    try:
        cluster = _cluster(sweep, cluster_file)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    sweep = with_gpu(sweep, cluster.gpu if cluster else gpu_here())
    console = Console(highlight=False)
    show_plan(sweep, console, every_cell, cluster.max_gpus if cluster else None)
    axes = Axes(
        sweep.source_names,
        sweep.targets,
        len(sweep.sizes),
        len(sweep.seeds),
        rung_below=min(sweep.ladder) < min(sweep.sizes),
    )
    show_answers([(one.question, one.can, one.detail) for one in answerable(axes)], console)
    if num_next is not None:
        chosen = planned_next(sweep, num_next)
        rows = [(one.source, one.target, one.flops, one.narrowing) for one in chosen.pairs]
        show_next(rows, chosen.num_measured, chosen.num_missing, console)
    if refining is not None:
        show_forecast(refining, forecast(refining, sweep), console)
    return 0


def _cluster(sweep: Sweep, named: str | None) -> ClusterGpus | None:
    """The GPUs of the cluster that a plan is for; None if it is for this machine."""
    from raydt.config.cluster_file import read_cluster_gpus

    if named is not None:
        found = read_cluster_gpus(Path(named))
        if found is None and sweep.gpus_per_cell:
            raise bad(
                f"cluster file {named}", "a known GPU type (or choose one with --gpu)", "none"
            )
        return found
    if sweep.gpus_per_cell and sweep.gpu is None and num_gpus() == 0 and CLUSTER_FILE.exists():
        return read_cluster_gpus(CLUSTER_FILE)
    return None
