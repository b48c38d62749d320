"""`raydt analyze`: from an MLflow store to D_E, D_T and the report."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from raydt.commands.parser import CommandParser
from raydt.config.sweep import local_folder


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument("name", nargs="?", help="name of the sweep [the last one launched]")
    parser.add_storage()
    parser.add_argument(
        "--store",
        metavar="URI",
        help="MLflow store to read [SQLite in the storage; of an object store, in its cache here]",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder to write the report to [STORAGE/SWEEP/report; of an object store, in its "
        "cache here]",
    )
    parser.add_argument(
        "--every-launch",
        action="store_true",
        help="read the cells of all launches of the sweep, not only those of the newest one's grid",
    )
    parser.add_argument(
        "--estimator",
        default="guided",
        metavar="NAME",
        help="estimator of D_E from the scratch ladder: guided, pchip, loglog, linear, law, pooled "
        "(over targets) or reference (only to reproduce published tables) [guided]",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.9, help="coverage of the intervals [0.9]"
    )
    return parser


def run(parsed: argparse.Namespace) -> int:
    from analysis.report.terminal import print_findings, print_report
    from analysis.reuse import analyzed
    from analysis.second_process import second_process
    from raydt.tracking.uri import sqlite_uri

    storage = local_folder(parsed.storage)
    store_uri = parsed.store or sqlite_uri(storage / "mlflow.db")
    console = Console(highlight=False)
    # A status line while the analysis runs; nothing in a file or a pipe.
    with console.status("") as status:
        result, unchanged = analyzed(
            store_uri,
            parsed.name,
            parsed.out or (lambda name: storage / name / "report"),
            lambda step: status.update(f"Analysing: {step}"),
            second_process,
            lambda found: print_findings(found, console),
            every_launch=parsed.every_launch,
            estimator=parsed.estimator,
            confidence=parsed.confidence,
            corpora_dir=storage / "corpora",
        )
    if unchanged:
        print_findings(result, console)
    print_report(result, console)
    if unchanged:
        console.print("The store has not changed: this is the existing report.")
    if result.logged and not unchanged:
        # The store may lack the views; it is writable, because the analysis was logged to it.
        from raydt.tracking.store import open_store
        from raydt.tracking.views import add_views

        client = open_store(store_uri)
        add_views(client, result.experiment_id, client.get_experiment(result.experiment_id).tags)
    from raydt.terminal.outcome import show_ui

    show_ui(result.store_uri, result.experiment_id, console)
    return 0
