"""`raydt import` and `analyze`: losses into a store, and out of it as D_T."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from raydt.config.sweep import local_folder


def add_commands(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands; each sets `handler`."""
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

    take_in.set_defaults(handler=_import)
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
    analyze.set_defaults(handler=_analyze)


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
    from analysis.report.terminal import print_analysis
    from analysis.reuse import analyzed
    from raydt.tracking.uri import sqlite_uri

    storage = local_folder(parsed.storage)
    store_uri = parsed.store or sqlite_uri(storage / "mlflow.db")
    result, unchanged = analyzed(
        store_uri,
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
    if result.logged and not unchanged:
        # The store may be older than the views, and is known to take what is written to it.
        from raydt.tracking.store import open_store
        from raydt.tracking.views import add_views

        client = open_store(store_uri)
        add_views(client, result.experiment_id, client.get_experiment(result.experiment_id).tags)
    from raydt.terminal.outcome import show_ui

    show_ui(result.store_uri, result.experiment_id, console)
    return 0
