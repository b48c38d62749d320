"""The `raydt` command: wiring only.

Nothing heavy is imported before a command needs it: `--help`, `plan` and `status` start neither
torch nor ray.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console
from rich_argparse import RichHelpFormatter

from raydt.commands import cells, corpora, jobs, results
from raydt.config.read import add_sweep_arguments, read_sweep
from raydt.config.sweep import Sweep
from raydt.errors import InputError, RaydtError, RunError, bad

_EXIT_INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk, or what its user may have of it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `raydt`; the exit code: 0, 1 for a failed run, 2 for bad input."""
    parser = argparse.ArgumentParser(
        "raydt", description=sys.modules["raydt"].__doc__, formatter_class=RichHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, about: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=about, description=about, formatter_class=RichHelpFormatter,
            allow_abbrev=False,
        )  # fmt: skip

    plan = add("plan", "show the cells of a sweep and what they cost, and start nothing")
    plan.add_argument("--all", action="store_true", help="every cell, however many there are")
    add_sweep_arguments(plan)

    run = add("run", "train what is missing of a sweep, as sweeps/grid.py does")
    run.add_argument("--recorded", metavar="FOLDER",
                     help="of a sweep: as its sweep.json has it, and no other options")  # fmt: skip
    add_sweep_arguments(run)
    jobs.add_commands(add)

    status = add("status", "show which cells of a sweep are done")
    status.add_argument("name", nargs="?", help="of the sweep [the only one there is]")
    status.add_argument("--storage", default="runs", help="folder of the sweeps [runs]")

    corpora.add_commands(add)
    results.add_commands(add)
    cells.add_commands(add)

    parsed, unknown = parser.parse_known_args(arguments)
    if parsed.command not in ("plan", "run") and unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    handlers: dict[str, Callable[[], int]] = {
        "plan": lambda: _plan(read_sweep(parsed, unknown), parsed.all),
        "run": lambda: _run(_sweep_to_run(parsed, unknown)),
        "status": lambda: _status(parsed.storage, parsed.name),
        **{name: partial(handle, parsed) for name, handle in jobs.HANDLERS.items()},
    }
    if "handler" in parsed:
        return reporting_errors(lambda: int(parsed.handler(parsed)))
    return reporting_errors(handlers[parsed.command])


def grid_main(arguments: Sequence[str] | None = None) -> int:
    """Run `sweeps/grid.py`: a sweep from the command line, or with `--dry-run` its plan."""
    parser = argparse.ArgumentParser(
        "sweeps/grid.py",
        description="Train a grid of sources x targets x sizes x seeds; again, and it goes on "
        "with what is missing. Without options: the demo on controlled languages.",
        formatter_class=RichHelpFormatter,
        allow_abbrev=False,
        usage="%(prog)s [OPTIONS]",  # of eighty options a list is no help to who mistyped one
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan, start nothing")
    parser.add_argument("--all", action="store_true", help="with --dry-run: every cell")
    add_sweep_arguments(parser)
    parsed, unknown = parser.parse_known_args(arguments)

    def handle() -> int:
        sweep = read_sweep(parsed, unknown)
        return _plan(sweep, parsed.all) if parsed.dry_run else _run(sweep)

    return reporting_errors(handle)


def reporting_errors(handle: Callable[[], int]) -> int:
    """The exit code of `handle`, with the user's errors printed instead of their traceback."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        return handle()
    except InputError as error:
        for problem in error.problems:
            errors.print("[bold red]error[/] ", end="")
            errors.print(str(problem), markup=False)
        return error.exit_code
    except RaydtError as error:
        errors.print("[bold red]failed[/] ", end="")
        errors.print(str(error), markup=False)
        return error.exit_code
    except OSError as error:
        if error.errno not in _FULL:
            raise
        errors.print("[bold red]failed[/] ", end="")
        errors.print(f"{error}. Make room; the same command goes on.", markup=False)
        return RunError.exit_code
    except KeyboardInterrupt:
        errors.print("Interrupted. What is done is kept: the same command goes on from here.")
        return _EXIT_INTERRUPTED


def _plan(sweep: Sweep, every_cell: bool) -> int:
    from raydt.orchestration.preflight import check_declaration
    from raydt.terminal.plan import show_plan

    _, problems = check_declaration(sweep)
    if problems:
        raise InputError(problems)
    show_plan(sweep, Console(highlight=False), every_cell)
    return 0


def _sweep_to_run(parsed: argparse.Namespace, unknown: Sequence[str]) -> Sweep:
    if parsed.recorded is None:
        return read_sweep(parsed, unknown)
    from raydt.grid.ledger import recorded_sweep

    others = set(vars(parsed)) - {"command", "recorded", "sweep"}
    if unknown or others or parsed.sweep is not None:
        words = " ".join([*sorted(others), *unknown]) or "--sweep"
        raise bad("--recorded", "no other option: the record has them all", words)
    storage, _, name = parsed.recorded.rstrip("/").rpartition("/")
    return recorded_sweep(storage or ".", name)


def _run(sweep: Sweep) -> int:
    from raydt.orchestration.launch import launch
    from raydt.terminal.outcome import show_outcome, show_ui
    from raydt.terminal.progress import Progress
    from raydt.tracking.schema import CELLS_VIEW
    from raydt.tracking.uri import without_password

    outcome = launch(sweep, Progress())
    console = Console(highlight=False, soft_wrap=True)
    show_outcome(sweep, outcome.statuses, outcome.num_trained, outcome.not_recorded, console)
    if outcome.experiment_id is not None:
        show_ui(without_password(sweep.store_uri), outcome.experiment_id, console, CELLS_VIEW)
    if not outcome.whole:
        raise RunError("not every cell is done; `raydt status` names the others")
    return 0


def _status(storage: str, name: str | None) -> int:
    from raydt.terminal.status import show_status

    show_status(storage, name, Console(highlight=False))
    return 0
