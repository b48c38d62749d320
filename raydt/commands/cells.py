"""`raydt retry`, `cancel`, `rm` and `sync`: what a person does to a sweep by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from rich.console import Console

from raydt.errors import RunError, bad


def add_commands(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands; each sets `handler`."""
    retry = add("retry", "let the next launch train cells again that failed or were cancelled")
    retry.add_argument("--done-too", action="store_true", help="also cells that are done")
    retry.set_defaults(handler=_retry)
    cancel = add("cancel", "keep cells from being trained; one at work ends at its next report")
    cancel.set_defaults(handler=_cancel)
    remove = add("rm", "remove what cells left: journals, weights, results and their MLflow runs")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.set_defaults(handler=_remove)
    for command in (retry, cancel, remove):
        command.add_argument(
            "patterns", nargs="+", metavar="PATTERN", help="a cell's id, or such as 'finetune/*'"
        )
    sync = add("sync", "bring the MLflow store up to what the journals say, or rebuild it")
    sync.add_argument("--to", metavar="URI", help="another store [the sweep's own]")
    sync.set_defaults(handler=_sync)
    for command in (retry, cancel, remove, sync):
        command.add_argument("--name", help="of the sweep [the only one there is]")
        command.add_argument("--storage", default="runs", help="folder of the sweeps [runs]")


def _retry(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.cells import matching_cells, retry_cells
    from raydt.terminal.selection import show_cells
    from raydt.terminal.status import find_sweep

    sweep = find_sweep(parsed.storage, parsed.name)
    cells = retry_cells(sweep, matching_cells(sweep, parsed.patterns), parsed.done_too)
    show_cells("The next launch trains again", cells, Console(highlight=False))
    return 0


def _cancel(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.cells import cancel_cells, matching_cells
    from raydt.terminal.selection import show_cells
    from raydt.terminal.status import find_sweep

    sweep = find_sweep(parsed.storage, parsed.name)
    cells = cancel_cells(sweep, matching_cells(sweep, parsed.patterns))
    show_cells("Cancelled", cells, Console(highlight=False))
    return 0


def _remove(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.cells import matching_cells, remove_cells
    from raydt.terminal.selection import show_cells
    from raydt.terminal.status import find_sweep

    sweep = find_sweep(parsed.storage, parsed.name)
    cells = matching_cells(sweep, parsed.patterns)
    console = Console(highlight=False)
    if not parsed.yes:
        if not sys.stdin.isatty():
            raise bad("raydt rm", "--yes where nobody can be asked", "no terminal")
        show_cells("To be removed:", cells, console)
        if console.input("Remove them? [y/N] ").strip().lower() not in ("y", "yes"):
            raise RunError("nothing was removed")
    show_cells("Removed", remove_cells(sweep, cells), console)
    return 0


def _sync(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.sync import sync_store
    from raydt.terminal.status import find_sweep

    sweep = find_sweep(parsed.storage, parsed.name)
    if parsed.to is not None:
        sweep = sweep.model_copy(update={"tracking_uri": parsed.to})
    synced = sync_store(sweep)
    Console(highlight=False).print(
        f"{synced.num_written} cells written, {synced.num_there} were there already"
    )
    if synced.damaged:
        raise RunError("\n".join(synced.damaged.values()))
    return 0
