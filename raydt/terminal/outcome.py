"""The outcome of a launch in a few lines, and the next commands."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape

from raydt.config.sweep import Sweep
from raydt.tracking import schema
from raydt.tracking.schema import Status
from raydt.tracking.uri import POSTGRES_PASSWORD, is_postgres, without_password


def show_outcome(
    sweep: Sweep,
    statuses: Mapping[str, Status],
    num_trained: int,
    not_recorded: Mapping[str, str],
    console: Console,
) -> None:
    """Print how many cells are done, the others by status, and the next commands."""
    counts = Counter(statuses.values())
    if not num_trained:
        console.print(f"Nothing to train: all {len(statuses)} cells of {sweep.name} have ended.")
    others = ", ".join(
        f"{count} {status}" for status, count in sorted(counts.items()) if status is not Status.DONE
    )
    console.print(
        f"[bold]{counts[Status.DONE]} of {len(statuses)} cells done[/]"
        + (f", {others}" if others else "")
        + f" in {escape(sweep.folder.uri)}"
    )
    if not_recorded:
        cell_id, reason = next(iter(not_recorded.items()))
        console.print(
            f"[yellow]Not in MLflow yet: {len(not_recorded)}[/] "
            f"(first: {escape(f'{cell_id}: {reason}')}). "
            "Nothing is lost: run the same command to write them from the journals."
        )
    where = "" if sweep.storage == "runs" else f" --storage {shlex.quote(sweep.storage)}"
    store, note = "", ""
    if sweep.tracking_uri is not None:
        shown = without_password(sweep.tracking_uri)
        store = f" --store {shlex.quote(shown)}"
        if shown != sweep.tracking_uri:
            variable = POSTGRES_PASSWORD if is_postgres(shown) else "MLFLOW_TRACKING_PASSWORD"
            note = f"\n       (the password is not stored: set {variable})"
    console.print(f"Next:  raydt analyze {sweep.name}{where}{store}{note}", markup=False)


def show_ui(
    store_uri: str, experiment_id: str, console: Console, view: str = schema.TRANSFER_VIEW
) -> None:
    """Print how to open the MLflow UI on a store, and the page that shows a view of the cells
    (`raydt.tracking.views`)."""
    page = schema.VIEW_PAGE.format(id=experiment_id, view=view)
    store_uri = without_password(store_uri)
    if store_uri.startswith("http"):
        console.print(f"UI:     {store_uri.rstrip('/')}{page}", soft_wrap=True, markup=False)
        return
    console.print(
        f"UI:     mlflow ui --backend-store-uri {shlex.quote(store_uri)}\n"
        f"        and open http://127.0.0.1:5000{page}",
        soft_wrap=True,
        markup=False,
    )
