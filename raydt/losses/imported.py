"""Import a table of losses into a store, in raydt's own schema (`raydt import`).

This is not in `analysis`, which only reads stores. Experiments and launches are created as by the
writer, so that readers of a store need not know whether its cells were trained by raydt.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from raydt.errors import bad
from raydt.losses.row import LossRow
from raydt.losses.table import LossTable
from raydt.tracking import schema
from raydt.tracking.provenance import provenance
from raydt.tracking.runs import every_run, log
from raydt.tracking.schema import Status
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RESERVED = {"corpora", "mlflow.db", "mlflow-artifacts"}
_BITS_PER_NAT = 1 / 0.6931471805599453
# Cells that have not ended are in the plan, and have no run.
_ENDED = {Status.DONE: "FINISHED", Status.FAILED: "FAILED", Status.DIVERGED: "FAILED"}

_KEY_PARAMS = (
    schema.PARAM_STAGE,
    schema.PARAM_SOURCE,
    schema.PARAM_TARGET,
    schema.PARAM_SIZE_BYTES,
    schema.PARAM_SEED,
    schema.PARAM_MODEL,
)


@dataclass(frozen=True)
class Imported:
    """The outcome of an import."""

    sweep: str
    experiment_id: str
    num_cells: int
    num_written: int  # 0: the store already had all
    num_replaced: int = 0  # of those written: had another loss before
    num_kept: int = 0  # cells of earlier tables that stay, with `add`
    num_dropped: int = 0  # cells of earlier tables that the sweep no longer has


def import_losses(
    table: LossTable,
    store_uri: str,
    sweep: str,
    described: str,
    on_cell: Callable[[int], None] = lambda number: None,
    *,
    add: bool = False,
) -> Imported:
    """Write a table of losses into a store as the sweep `sweep`; `described` names its source.

    Importing the same table again changes nothing, and finishes an interrupted import. Another
    table under the same name becomes a new launch, whose plan has the fingerprints of its rows:
    changed rows replace their predecessors. Cells that only an earlier table has are dropped, or
    with `add` kept. The runs of dropped and replaced cells are deleted, which `mlflow` can undo.
    `on_cell` receives the number of processed cells.

    Raises `InputError` before anything is written if the name is invalid, belongs to a sweep that
    raydt trained or to a deleted experiment, or if the store cannot be used.
    """
    _check_name(sweep)
    client = open_store(store_uri)
    newest = _newest_launch(client, sweep)
    there = {} if newest is None else _written(client, str(newest.info.experiment_id))
    mine = {_key(_params(row)) for row in table.rows}
    before = {_key(run.data.params) for run in there.values()}
    kept = [run for run in there.values() if _key(run.data.params) not in mine] if add else []
    digest = table.digest_with([run.data.tags[schema.TAG_FINGERPRINT] for run in kept])
    if newest is not None and newest.data.tags[schema.TAG_IMPORT] == digest:
        if newest.info.status == "FINISHED":
            experiment_id = str(newest.info.experiment_id)
            return Imported(sweep, experiment_id, len(table.rows), 0, num_kept=len(kept))
        launch_id = str(newest.info.run_id)  # it was interrupted: resume it
        writer = Writer(client, store_uri, sweep)
    else:
        writer = Writer(client, store_uri, sweep)
        launch_id = writer.start_launch(
            [*map(_plan_row, table.rows), *map(_kept_plan_row, kept)],
            {
                "import": described,
                "sizes": table.sizes,
                "unit": table.unit,
                "left_out": list(table.left_out),
                "kept": len(kept),
            },
            f"Importing {described}.",
            more_tags={schema.TAG_IMPORT: digest},
        )
    num_written = num_replaced = 0
    for number, row in enumerate(table.rows):
        on_cell(number)
        if row.status in _ENDED and row.fingerprint not in there:
            _write(client, writer.experiment_id, launch_id, sweep, row)
            num_written += 1
            num_replaced += _key(_params(row)) in before
    on_cell(len(table.rows))
    # Only when the new rows are there: an import that is cut off before loses nothing.
    stays = {row.fingerprint for row in table.rows}
    stays |= {run.data.tags[schema.TAG_FINGERPRINT] for run in kept}
    for fingerprint, run in there.items():
        if fingerprint not in stays:
            client.delete_run(run.info.run_id)
    notes = [f"{len(table.rows)} cells imported from {described}; sizes: {table.sizes}."]
    notes += [f"{len(kept)} cells of earlier tables were kept."] if kept else []
    notes += [f"Left out: {text}." for text in table.left_out]
    notes += [f"Note: {text}." for text in table.notes]
    client.set_tag(launch_id, schema.TAG_NOTE, " ".join(notes))
    client.set_terminated(launch_id, "FINISHED")
    return Imported(
        sweep,
        writer.experiment_id,
        len(table.rows),
        num_written,
        num_replaced,
        len(kept),
        0 if add else len(before - mine),
    )


def _check_name(sweep: str) -> None:
    if not _NAME.fullmatch(sweep) or sweep in _RESERVED:
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", sweep).strip("-._")
        hint = f", such as --name {plain}" if plain and plain not in _RESERVED else ""
        requirement = (
            "a name of letters, digits and . _ -, starting with a letter or digit, that is not "
            f"one of raydt's own folders{hint}"
        )
        raise bad("--name", requirement, repr(sweep))


def _newest_launch(client: Any, sweep: str) -> Any | None:
    """The newest launch of an imported sweep; None if there is no sweep of this name."""
    experiment = client.get_experiment_by_name(sweep)
    if experiment is None:
        return None
    if experiment.lifecycle_stage == "deleted":
        requirement = "a name that no deleted experiment has (`mlflow gc` removes these)"
        raise bad("--name", requirement, repr(sweep))
    launches = client.search_runs(
        [experiment.experiment_id],
        f"tags.`{schema.TAG_KIND}` = '{schema.KIND_LAUNCH}'",
        order_by=["attributes.start_time DESC"],
        max_results=1000,
    )
    if any(schema.TAG_IMPORT not in run.data.tags for run in launches):
        raise bad("--name", "a new name, not that of a trained sweep", repr(sweep))
    return launches[0] if launches else None


def _written(client: Any, experiment_id: str) -> dict[str, Any]:
    """Runs of the complete cells by fingerprint; incomplete ones are
    deleted."""
    found: dict[str, Any] = {}
    where = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_CELL}'"
    for run in every_run(client, experiment_id, where):
        if run.info.end_time:
            found[run.data.tags[schema.TAG_FINGERPRINT]] = run
        else:
            client.delete_run(run.info.run_id)
    return found


def _plan_row(row: LossRow) -> dict[str, object]:
    values: list[object] = [row.cell_id, row.stage, row.source, row.target]
    values += [row.size, row.size_bytes, row.seed, row.model, None, row.fingerprint]
    return dict(zip(schema.PLAN_FIELDS, values, strict=True))


def _kept_plan_row(run: Any) -> dict[str, object]:
    """The row of the plan of a cell that is already in the store."""
    params, tags = run.data.params, run.data.tags
    values: list[object] = [tags[schema.TAG_CELL_ID], params[schema.PARAM_STAGE]]
    values += [params.get(schema.PARAM_SOURCE), params.get(schema.PARAM_TARGET)]
    values += [params[schema.PARAM_SIZE], int(params[schema.PARAM_SIZE_BYTES])]
    values += [int(params[schema.PARAM_SEED]), params[schema.PARAM_MODEL], None]
    values += [tags[schema.TAG_FINGERPRINT]]
    return dict(zip(schema.PLAN_FIELDS, values, strict=True))


def _params(row: LossRow) -> dict[str, str]:
    params = {
        schema.PARAM_STAGE: str(row.stage),
        schema.PARAM_SOURCE: row.source,
        schema.PARAM_TARGET: row.target,
        schema.PARAM_SIZE: row.size,
        schema.PARAM_SIZE_BYTES: str(row.size_bytes),
        schema.PARAM_SEED: str(row.seed),
        schema.PARAM_MODEL: row.model,
    }
    return {name: value for name, value in params.items() if value is not None}


def _key(params: Mapping[str, str]) -> tuple[str | None, ...]:
    """What identifies a cell, of a run's params: two labels of as many bytes are one size."""
    return tuple(params.get(name) for name in _KEY_PARAMS)


def _write(client: Any, experiment_id: str, launch_id: str, sweep: str, row: LossRow) -> None:
    from mlflow.entities import Metric

    tags = {
        **provenance(),
        schema.TAG_KIND: schema.KIND_CELL,
        schema.TAG_SWEEP: sweep,
        schema.TAG_CELL_ID: row.cell_id,
        schema.TAG_FINGERPRINT: row.fingerprint,
        schema.TAG_STATUS: str(row.status),
        "mlflow.parentRunId": launch_id,
    }
    if row.reason is not None:
        tags[schema.TAG_REASON] = row.reason[:500]
    if row.stopped is not None:
        tags[schema.TAG_STOPPED] = str(row.stopped)
    if row.precision is not None:
        tags[schema.TAG_PRECISION] = row.precision
    metrics = dict(row.metrics)
    if row.test_loss is not None:
        metrics[schema.METRIC_TEST_LOSS] = row.test_loss
        metrics[schema.METRIC_TEST_BPB] = row.test_loss * _BITS_PER_NAT
    now = int(time.time() * 1000)
    curve = [Metric(schema.METRIC_VAL_LOSS, loss, now, seen) for seen, loss in row.curve]
    step = int(metrics.get(schema.METRIC_BYTES_SEEN, 0))
    run = client.create_run(experiment_id, start_time=now, tags=tags, run_name=row.run_name)
    run_id = str(run.info.run_id)
    log(
        client,
        run_id,
        [*(Metric(name, value, now, step) for name, value in metrics.items()), *curve],
        _params(row),
        {},
    )
    # Last, because a run without an end counts as incomplete.
    client.set_terminated(run_id, _ENDED[row.status], end_time=int(time.time() * 1000))
