"""`raydt import`: import a table of losses into an MLflow store."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from rich.console import Console

from raydt.commands.parser import CommandParser
from raydt.config.sweep import local_folder


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument(
        "file",
        type=Path,
        help="table of losses in nats per byte, as CSV, JSON lines or parquet, with the columns "
        "source,target,size,loss (source scratch: not pretrained) or "
        "init_language,target,model_size,data_size,loss, and optionally stage, seed, model, "
        "size_bytes, ...",
    )
    parser.add_argument(
        "--curves",
        type=Path,
        metavar="FILE",
        help="table of the cells' validation losses during training: the columns that identify a "
        "cell, and bytes_seen,loss",
    )
    parser.add_argument("--name", help="name of the new sweep [that of the file]")
    parser.add_argument(
        "--add",
        action="store_true",
        help="keep cells that earlier imports under this name have and this file lacks; without "
        "it the sweep has the cells of this file alone",
    )
    parser.add_storage()
    parser.add_argument(
        "--into", metavar="URI", help="MLflow store to write to [SQLite in the storage]"
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        default=[],
        metavar="WORD",
        help="true bytes of the size labels: published (6M is 6,815,744), nominal (6M is "
        "6,000,000), LABEL=BYTES [published for init_language files, else nominal]",
    )
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="LABEL=BYTES",
        help="true bytes of one size label; overrides --sizes",
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="the file's name for a column, such as loss=scaling/global_loss; one option per "
        "column",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value for all rows, in place of a column, such as stage=scratch or target=en",
    )
    parser.add_argument("--unit", help="unit of the losses: nats, bits or perplexity [nats]")
    parser.add_argument(
        "--bytes-per-token",
        metavar="NUMBER",
        help="mean bytes per token, if losses are per token and sizes in tokens: both are "
        "converted to bytes",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show how the rows are parsed, and write nothing"
    )
    return parser


def run(parsed: argparse.Namespace) -> int:
    from rich.progress import Progress

    from raydt.losses.columns import read_declared
    from raydt.losses.curves import with_curves
    from raydt.losses.imported import import_losses
    from raydt.losses.table import read_losses
    from raydt.losses.units import read_unit
    from raydt.terminal.loss_rows import show_parsed_losses
    from raydt.tracking.uri import sqlite_uri, without_password

    unit = read_unit(parsed.unit or "nats", parsed.bytes_per_token)
    declared = read_declared(parsed.column, parsed.set, unit, unit_is_given=parsed.unit is not None)
    table = read_losses(parsed.file, [*parsed.sizes, *parsed.size], declared)
    if parsed.curves is not None:
        table = with_curves(table, parsed.curves, [*parsed.sizes, *parsed.size], declared)
    console = Console(highlight=False, soft_wrap=True)
    if parsed.dry_run:
        if not console.is_terminal:
            console.width = 132  # a file or a pipe has no width; the table needs more than 80
        show_parsed_losses(table, console)
        return 0
    storage = local_folder(parsed.storage)
    store_uri = sqlite_uri(storage / "mlflow.db") if parsed.into is None else parsed.into
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("Importing", total=len(table.rows))
        imported = import_losses(
            table,
            store_uri,
            parsed.file.stem if parsed.name is None else parsed.name,
            parsed.file.name,
            lambda number: progress.update(task, completed=number),
            add=parsed.add,
        )
    num_new = imported.num_written - imported.num_replaced
    changes = f"{num_new} of them new"
    if imported.num_replaced:
        changes += f", {imported.num_replaced} with other numbers than before"
    if imported.num_kept:
        changes += f", beside {imported.num_kept} of earlier imports"
    console.print(
        f"{imported.num_cells} cells in sweep {imported.sweep}, {changes}. Sizes: {table.sizes}."
    )
    if imported.num_dropped:
        console.print(
            f"Note: {imported.num_dropped} cells of earlier imports are not in this file, and no "
            "longer in the sweep. To have both, import the earlier file again with --add."
        )
    for text in table.left_out:
        console.print(f"Left out: {text}.", markup=False)
    for text in table.notes:
        console.print(f"Note: {text}.", markup=False)
    where = "" if parsed.storage == "runs" else f" --storage {shlex.quote(parsed.storage)}"
    store = "" if parsed.into is None else f" --store {shlex.quote(without_password(parsed.into))}"
    console.print(f"Next:  raydt analyze {imported.sweep}{where}{store}")
    return 0
