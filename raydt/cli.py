"""The `raydt` command: wiring only.

Nothing heavy is imported before a command needs it: `--help`, `plan` and `status` start neither
torch nor ray.
"""

from __future__ import annotations

import argparse
import errno
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich_argparse import RichHelpFormatter

from raydt.commands import cells, jobs
from raydt.config.read import add_sweep_arguments, read_sweep
from raydt.config.sweep import Sweep, local_folder
from raydt.errors import InputError, RaydtError, RunError, bad
from raydt.units import parse_bytes

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

    prepare = add("prepare", "prepare languages of a corpus; again, and it goes on where it was")
    prepare.add_argument(
        "--corpus", required=True, help="controlled[:SEED], files:PATH or hub:DATASET, ?OPTIONS"
    )
    prepare.add_argument("--languages", nargs="+", help="[all that the corpus can list]")
    prepare.add_argument(
        "--train-bytes", default="all", metavar="SIZE", help="such as 8M [all that there is]"
    )
    for split in ("val", "test"):
        prepare.add_argument(f"--{split}-bytes", metavar="SIZE", default="0", help="at least [0]")
    prepare.add_argument("--jobs", type=int, help="languages at a time [one per core]")
    corpora = add("corpora", "show the languages that are prepared")
    for command in (prepare, corpora):
        command.add_argument("--storage", default="runs", help="folder of the sweeps [runs]")

    take_in = add("import", "take somebody's table of losses into an MLflow store, for `analyze`")
    take_in.add_argument(
        "file", type=Path,
        help="CSV, nats per byte: init_language,target,model_size,data_size,loss or "
        "stage,source,target,size,loss with seed, model, size_bytes, ...",
    )  # fmt: skip
    take_in.add_argument("--name", help="of the sweep [that of the file]")
    take_in.add_argument("--storage", default="runs", help="folder of the sweeps [runs]")
    take_in.add_argument("--into", metavar="URI", help="MLflow store [sqlite in the storage]")
    take_in.add_argument(
        "--sizes", nargs="+", default=[], metavar="WORD",
        help="true bytes of the labels: published (6M is 6,815,744), nominal (6M is 6,000,000), "
        "LABEL=BYTES [published for init_language files, else nominal]",
    )  # fmt: skip
    take_in.add_argument(
        "--size", action="append", default=[], metavar="LABEL=BYTES", help="one more, which wins"
    )

    analyze = add("analyze", "compute D_E and D_T from an MLflow store and write the report")
    analyze.add_argument("name", nargs="?", help="of the sweep [the one launched last]")
    analyze.add_argument("--storage", default="runs", help="folder of the sweeps [runs]")
    analyze.add_argument("--store", metavar="URI", help="MLflow store [sqlite in the storage]")
    analyze.add_argument("--out", type=Path, help="folder of the report [STORAGE/SWEEP/report]")
    analyze.add_argument(
        "--estimator", default="loglog", metavar="NAME",
        help="of D_E: loglog, linear, law or reference (only to reproduce published tables) "
        "[loglog]",
    )  # fmt: skip
    analyze.add_argument("--confidence", type=float, default=0.9, help="of the intervals [0.9]")

    cells.add_commands(add)

    parsed, unknown = parser.parse_known_args(arguments)
    if parsed.command not in ("plan", "run") and unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    handlers: dict[str, Callable[[], int]] = {
        "plan": lambda: _plan(read_sweep(parsed, unknown), parsed.all),
        "run": lambda: _run(_sweep_to_run(parsed, unknown)),
        "status": lambda: _status(parsed.storage, parsed.name),
        "prepare": lambda: _prepare(parsed),
        "corpora": lambda: _corpora(local_folder(parsed.storage)),
        "import": lambda: _import(parsed),
        "analyze": lambda: _analyze(parsed),
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

    problems = check_declaration(sweep)
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


def _prepare(parsed: argparse.Namespace) -> int:
    import os

    from raydt.corpora.check import languages_and_sizes
    from raydt.corpora.parallel import prepare_parallel
    from raydt.corpora.spec import parse_corpus
    from raydt.terminal.preparing import Preparing

    corpus = parse_corpus(parsed.corpus)
    num_bytes = languages_and_sizes(corpus, parsed.languages, parsed.train_bytes)
    if parsed.jobs is not None and parsed.jobs < 1:
        raise bad("--jobs", "at least 1", parsed.jobs)
    storage = local_folder(parsed.storage)
    with Preparing(len(num_bytes)) as preparing:
        prepare_parallel(
            corpus,
            num_bytes,
            parse_bytes(parsed.val_bytes),
            parse_bytes(parsed.test_bytes),
            storage / "corpora",
            parsed.jobs or len(os.sched_getaffinity(0)),
            preparing.on_bytes,
            preparing.on_language,
        )
    return _corpora(storage)


def _corpora(storage: Path) -> int:
    from raydt.corpora.inventory import prepared_languages
    from raydt.terminal.corpora_table import LanguageRow, show_corpora

    root = storage / "corpora"
    rows = []
    for entry in prepared_languages(root):
        manifest = entry.manifest
        rows.append(
            LanguageRow(
                corpus=manifest.source.corpus.replace(f"{Path.cwd()}/", ""),  # as it is typed
                language=manifest.language,
                num_bytes=manifest.num_bytes,
                num_characters=manifest.num_characters,
                num_documents=manifest.num_documents,
                num_duplicates=entry.num_duplicates,
                foreign_share=manifest.contamination.foreign(manifest.language),
                largest_foreign=manifest.contamination.largest_foreign(manifest.language),
                byte_premium=entry.byte_premium,
            )
        )
    if not rows:
        raise bad(f"folder {root}", "a prepared language; `raydt prepare` makes one", "none")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # a file or a pipe has no width, and the table is wider than 80
    show_corpora(rows, console)
    return 0


def _import(parsed: argparse.Namespace) -> int:
    from rich.progress import Progress

    from raydt.tracking.imported import import_losses
    from raydt.tracking.loss_table import read_losses
    from raydt.tracking.uri import sqlite_uri, without_password

    table = read_losses(parsed.file, [*parsed.sizes, *parsed.size])
    storage = local_folder(parsed.storage)
    store_uri = parsed.into or sqlite_uri(storage / "mlflow.db")
    console = Console(highlight=False, soft_wrap=True)
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("Importing", total=len(table.rows))
        imported = import_losses(
            table, store_uri, parsed.name or parsed.file.stem, parsed.file.name,
            lambda number: progress.update(task, completed=number),
        )  # fmt: skip
    console.print(
        f"{imported.num_cells} cells in sweep {imported.sweep}, {imported.num_written} of them "
        f"new. Sizes: {table.sizes}."
    )
    for text in table.left_out:
        console.print(f"Left out: {text}.")
    where = "" if parsed.storage == "runs" else f" --storage {shlex.quote(parsed.storage)}"
    store = "" if parsed.into is None else f" --store {shlex.quote(without_password(parsed.into))}"
    console.print(f"Next:  raydt analyze {imported.sweep}{where}{store}")
    return 0


def _analyze(parsed: argparse.Namespace) -> int:
    from analysis.reuse import analyzed
    from analysis.terminal import print_analysis
    from raydt.tracking.uri import sqlite_uri

    storage = local_folder(parsed.storage)
    result, unchanged = analyzed(
        parsed.store or sqlite_uri(storage / "mlflow.db"),
        parsed.name,
        parsed.out or (lambda name: storage / name / "report"),
        estimator=parsed.estimator,
        confidence=parsed.confidence,
        corpora_dir=storage / "corpora",
    )
    console = Console(highlight=False)
    print_analysis(result, console)
    if unchanged:
        console.print("Nothing has changed in the store: this is the report that was there.")
    from raydt.terminal.outcome import show_ui

    show_ui(result.store_uri, result.experiment_id, console)
    return 0
